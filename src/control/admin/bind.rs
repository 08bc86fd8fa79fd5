//! Binding the admin listeners, before anything is served, so that an address in use is an error at start.

use crate::{config::AdminListen, control::http};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Why a listener could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The address can't be listened on.
    #[error("can't listen on {address}")]
    Listen {
        /// Where.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// There is something at the socket's path that is no socket; it is not ours to remove.
    #[error("{} exists and is no socket; remove it or choose another path", .0.display())]
    NotASocket(PathBuf),
    /// Another process answers on the socket.
    #[error("another process answers on {}; stop it or choose another path", .0.display())]
    InUse(PathBuf),
    /// Others could reach the API without a token.
    #[error("{0} can be reached from other machines; set admin.token_file, or listen on 127.0.0.1 or unix:PATH")]
    NeedsTokens(SocketAddr),
}

/// A listener that is bound and served by nobody yet.
#[derive(Debug)]
pub(super) enum Bound {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// The file of a unix socket; removed in the end, if it is still the one we made.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

/// Binds what the configuration names.
pub(super) fn bind(listen: &AdminListen) -> Result<Bound, AdminError> {
    match listen {
        AdminListen::Tcp(address) => bind_tcp(*address).map(Bound::Tcp),
        AdminListen::Unix(path) => bind_unix(path),
    }
}

/// Binds a TCP address.
pub(super) fn bind_tcp(address: SocketAddr) -> Result<std::net::TcpListener, AdminError> {
    http::bind(address).map_err(|source| AdminError::Listen { address: address.to_string(), source })
}

/// Binds a unix socket; its file must not be there, or be left behind by a process that is gone.
pub(super) fn bind_unix(path: &Path) -> Result<Bound, AdminError> {
    let error = |source| AdminError::Listen { address: format!("unix:{}", path.display()), source };
    let address = SockAddr::unix(path).map_err(error)?;
    let socket = || Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None);
    match fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(AdminError::NotASocket(path.into())),
        Ok(_) => match socket().and_then(|probe| probe.connect(&address)) {
            // Left behind by a process that is gone: nobody listens.
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(error)?;
            }
            // Connected, or a full backlog (EAGAIN): somebody is there.
            Ok(()) => return Err(AdminError::InUse(path.into())),
            Err(busy) if busy.kind() == io::ErrorKind::WouldBlock => return Err(AdminError::InUse(path.into())),
            Err(other) => return Err(error(other)),
        },
        Err(missing) if missing.kind() == io::ErrorKind::NotFound => {}
        Err(other) => return Err(error(other)),
    }
    let listening = || {
        let socket = socket()?;
        socket.bind(&address)?;
        let file = SocketFile { path: path.into(), inode: fs::symlink_metadata(path)?.ino() };
        // Between bind and listen nobody can connect, so there is no moment with the wrong mode.
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        socket.listen(http::BACKLOG)?;
        io::Result::Ok(Bound::Unix(socket.into(), file))
    };
    listening().map_err(error)
}

impl SocketFile {
    /// The path, if there is nothing any more.
    pub(super) fn removed(&self) -> Option<&Path> {
        let there = fs::symlink_metadata(&self.path);
        there.is_err_and(|error| error.kind() == io::ErrorKind::NotFound).then_some(&self.path)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failback.sock");
        // std's listener leaves its file behind, as a killed process does.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let ours = bind_unix(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind_unix(&path), Err(AdminError::InUse(_))));
        UnixStream::connect(&path).expect("the probe has not disturbed the listener");
        drop(ours);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("precious");
        fs::write(&path, "data").unwrap();
        assert!(matches!(bind_unix(&path), Err(AdminError::NotASocket(_))));
        assert_eq!(fs::read(&path).unwrap(), b"data");
    }
}
