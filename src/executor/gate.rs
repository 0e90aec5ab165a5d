//! Where runners come in that make their own connection, each with a token good for one attempt.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;

use super::conversation::Streams;

/// The attempts whose runners may come in. Tokens are known by their hashes, so that how long a
/// look-up takes says nothing of them.
#[derive(Debug, Default)]
pub struct Gate {
    expected: Mutex<HashMap<[u8; 32], mpsc::Sender<Streams>>>,
}

/// An attempt that is expected; nobody comes in any more when it is dropped.
#[derive(Debug)]
pub(super) struct Expected {
    gate: Arc<Gate>,
    hash: [u8; 32],
}

impl Drop for Expected {
    fn drop(&mut self) {
        if let Ok(mut expected) = self.gate.expected.lock() {
            expected.remove(&self.hash);
        }
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Gate {
    /// Lets the runner with this token in, as often as its connection breaks.
    pub(super) fn expect(gate: &Arc<Self>, token: &str) -> (Expected, mpsc::Receiver<Streams>) {
        let (sender, connections) = mpsc::channel(1);
        let hash = hash(token);
        if let Ok(mut expected) = gate.expected.lock() {
            expected.insert(hash, sender);
        }
        let expected = Expected {
            gate: Arc::clone(gate),
            hash,
        };
        (expected, connections)
    }

    /// Whether a runner with this token is expected.
    pub fn knows(&self, token: &str) -> bool {
        self.expected
            .lock()
            .is_ok_and(|expected| expected.contains_key(&hash(token)))
    }

    /// Hands over the connection of a runner; closed when it is not expected.
    pub async fn enter(&self, token: &str, stream: impl AsyncRead + AsyncWrite + Send + 'static) {
        let sender = self
            .expected
            .lock()
            .ok()
            .and_then(|expected| expected.get(&hash(token)).cloned());
        if let Some(sender) = sender {
            let (input, output) = tokio::io::split(stream);
            let _ = sender.send((Box::pin(input), Box::pin(output))).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Gate;

    #[tokio::test]
    async fn a_token_is_good_as_long_as_its_attempt_is_expected() {
        let gate = Arc::new(Gate::default());
        let (expected, mut connections) = Gate::expect(&gate, "one");
        assert!(gate.knows("one") && !gate.knows("two"));
        let (ours, _theirs) = tokio::io::duplex(64);
        gate.enter("one", ours).await;
        assert!(connections.recv().await.is_some());
        let (ours, _theirs) = tokio::io::duplex(64);
        gate.enter("two", ours).await;
        assert!(connections.try_recv().is_err());
        drop(expected);
        assert!(!gate.knows("one"));
    }
}
