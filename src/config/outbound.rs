//! The way out: `HERALD_CA_FILE`, `HTTPS_PROXY`, `NO_PROXY`.

use std::path::Path;

use super::read::Reader;
use crate::github::{Authorities, Outbound, Proxy};

/// The proxy and the authorities that the variables name. What is wrong is among the reader's problems.
pub fn outbound(reader: &mut Reader) -> Outbound {
    // As curl has it, and with it git: the name in small letters counts first.
    let either = |reader: &Reader, names: [&'static str; 2]| {
        names
            .into_iter()
            .find_map(|name| Some((name, reader.text(name)?)))
    };
    let except = either(reader, ["no_proxy", "NO_PROXY"]).map(|(_, text)| text);
    let proxy = either(reader, ["https_proxy", "HTTPS_PROXY"]).and_then(|(name, text)| {
        let proxy = Proxy::parse(text.trim(), except.as_deref().unwrap_or_default());
        if proxy.is_none() {
            // Not shown: there may be a password in it.
            reader.problems.push(format!(
                "{name} is not an address like http://HOST:PORT or http://NAME:PASSWORD@HOST:PORT, with signs \
                 like @ and / in name and password as %40 and %2F"
            ));
        }
        proxy
    });
    let authorities = reader.text("HERALD_CA_FILE").and_then(|file| {
        Authorities::read(Path::new(&file))
            .map_err(|why| {
                reader
                    .problems
                    .push(format!("HERALD_CA_FILE: {file}: {why}"));
            })
            .ok()
    });
    Outbound::new(proxy, authorities)
}
