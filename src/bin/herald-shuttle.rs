//! Entry point for `shuttle-runtime`. The hosting service that it was made for has closed; what is
//! left of it runs a service locally. See the README.

use std::net::SocketAddr;

use herald::cli;
use herald::config::{Config, Reader};
use herald::wire::Server;
use tokio_util::sync::CancellationToken;

/// Herald as a service of the runtime.
struct Herald(Config);

#[shuttle_runtime::async_trait]
impl shuttle_runtime::Service for Herald {
    async fn bind(mut self, address: SocketAddr) -> Result<(), shuttle_runtime::Error> {
        self.0.listen = address;
        // On a thread of its own: a server's future is not one that may move between threads.
        let serve = move || {
            tokio::runtime::Handle::current().block_on(async {
                let server = Server::bind(&self.0).await?;
                server.run(CancellationToken::new()).await
            })
        };
        tokio::task::spawn_blocking(serve)
            .await
            .map_err(|error| custom(error.into()))?
            .map_err(custom)
    }
}

fn custom(error: anyhow::Error) -> shuttle_runtime::Error {
    shuttle_runtime::Error::Custom(error)
}

#[shuttle_runtime::main]
async fn main() -> Result<Herald, shuttle_runtime::Error> {
    let reader = Reader::new(std::env::vars(), []);
    let config = Config::read(reader).map_err(|problems| custom(problems.into()))?;
    cli::start_log(&config.log, config.log_json).map_err(custom)?;
    Ok(Herald(config))
}
