// A handler that does nothing, behind the middleware of @octokit/webhooks.
import { createServer } from "node:http";
import { Webhooks, createNodeMiddleware } from "@octokit/webhooks";

const webhooks = new Webhooks({ secret: process.env.WEBHOOK_SECRET });
webhooks.on("pull_request", async () => {});
const middleware = createNodeMiddleware(webhooks, { path: "/webhooks/github" });
const server = createServer((request, response) => middleware(request, response));
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
