//! Entry point for `shuttle-runtime`. The hosting service that it was made for has closed; what is
//! left of it runs a service locally. See the README.

use std::net::SocketAddr;

use herald::config::{Config, Reader};
use herald::wire::Server;
use tokio_util::sync::CancellationToken;

/// Herald as a service of the runtime.
struct Herald(Config);

#[shuttle_runtime::async_trait]
impl shuttle_runtime::Service for Herald {
    async fn bind(mut self, address: SocketAddr) -> Result<(), shuttle_runtime::Error> {
        self.0.listen = address;
        let server = Server::bind(&self.0).await.map_err(custom)?;
        server.run(CancellationToken::new()).await.map_err(custom)
    }
}

fn custom(error: anyhow::Error) -> shuttle_runtime::Error {
    shuttle_runtime::Error::Custom(error)
}

#[shuttle_runtime::main]
async fn main() -> Result<Herald, shuttle_runtime::Error> {
    let reader = Reader::new(std::env::vars(), []);
    let config = Config::read(reader).map_err(|problems| custom(problems.into()))?;
    Ok(Herald(config))
}
