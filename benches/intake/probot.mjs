// A handler that does nothing, behind Probot's middleware.
import { createServer } from "node:http";
import { generateKeyPairSync } from "node:crypto";
import { createNodeMiddleware, createProbot } from "probot";

const { privateKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
  publicKeyEncoding: { type: "spki", format: "pem" },
});
const overrides = { appId: 1, privateKey, secret: process.env.WEBHOOK_SECRET, logLevel: "fatal" };
const middleware = await createNodeMiddleware(
  (app) => {
    app.on("pull_request", async () => {});
  },
  { probot: createProbot({ overrides }), webhooksPath: "/webhooks/github" },
);
const server = createServer((request, response) => middleware(request, response));
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
