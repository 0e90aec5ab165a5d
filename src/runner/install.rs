//! The runner as a file that containers get from a volume.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// The name of the runner in its folder.
const NAME: &str = "herald-runner";

/// Copies this very program into a folder, replacing what was there in one step: containers that
/// start meanwhile find the old one or the new one.
///
/// # Errors
/// When it cannot be read or written.
pub fn install(folder: &Path) -> io::Result<()> {
    let own = std::env::current_exe()?;
    let new = folder.join(format!(".{NAME}.new"));
    fs::create_dir_all(folder)?;
    fs::copy(own, &new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, folder.join(NAME))
}

/// Does nothing for ever, so that a service that has installed the runner counts as running.
pub fn rest() -> ! {
    loop {
        thread::sleep(Duration::from_hours(24));
    }
}
