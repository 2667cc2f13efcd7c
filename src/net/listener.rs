//! Listening sockets, the options of accepted ones, and addresses as Redis prints them.
//!
//! What does not live here: accepting, which the ring does; which addresses to listen on, which the configuration says.

use std::fmt;
use std::fs;
use std::io;
use std::mem::ManuallyDrop;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Whom the sockets of [`bind_tcp`] share their port with, besides one another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody.
    WithNobody,
    /// Others of this process on an address that overlaps: all of them listen by [`bind_tcp`].
    WithOwn,
}

/// Listens on one TCP address with `count` sockets that share its connections, one for each shard.
///
/// Sharing (SO_REUSEPORT) must not let a second server of the same user slip onto the port, so the first socket binds
/// and listens alone, which fails if anybody else has the port, and offers to share only afterwards. Port 0 picks a
/// free one for all. IPv6 sockets take no IPv4 connections. The sockets are blocking ones, as the ring wants them.
///
/// Errors: those of `bind(2)` and `listen(2)`; `AddrInUse` when another process has the port, shared or not.
pub fn bind_tcp(
    address: SocketAddr,
    backlog: u32,
    count: usize,
    sharing: Sharing,
) -> io::Result<Vec<OwnedFd>> {
    let first = tcp_socket(address)?;
    if sharing == Sharing::WithOwn {
        set_option(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    }
    bind_and_listen(&first, address, backlog)?;
    set_option(&first, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
    let address = tcp_address(&first)?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        let next = tcp_socket(address)?;
        set_option(&next, libc::SOL_SOCKET, libc::SO_REUSEPORT, 1)?;
        bind_and_listen(&next, address, backlog)?;
        listeners.push(next);
    }
    Ok(listeners)
}

/// Listens on a unix socket. A socket file that nobody listens on any more is replaced; anything else in the way is
/// `AddrInUse`. `mode` are the file's permission bits, as in the directive `unixsocketperm`; `None` leaves them.
pub fn bind_unix(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<OwnedFd> {
    remove_stale_socket(path)?;
    let listener = UnixListener::bind(path)?;
    if let Some(mode) = mode {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    }
    let listener = OwnedFd::from(listener);
    listen(&listener, backlog)?;
    Ok(listener)
}

/// Sets up a new connection: no delay of small packets, and keepalive probes after `keepalive_seconds` of silence
/// (0: none), three of them a third of that time apart. Does nothing to unix sockets.
pub fn configure_accepted(fd: &impl AsFd, keepalive_seconds: u32) -> io::Result<()> {
    match set_option(fd, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1) {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(()),
        other => other?,
    }
    if keepalive_seconds == 0 {
        return Ok(());
    }
    let idle = i32::try_from(keepalive_seconds).unwrap_or(i32::MAX);
    set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (idle / 3).max(1))?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
}

/// One end of a connection. Displayed as Redis does: `127.0.0.1:6379`, `[::1]:6379`, `/run/redis.sock:0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Over IP.
    Tcp(SocketAddr),
    /// The socket file that was connected to, for both ends: the other one has no name.
    Unix(PathBuf),
}

impl Address {
    /// The other end of a connection.
    pub fn of_peer(fd: &impl AsFd) -> io::Result<Self> {
        Self::of(fd, TcpStream::peer_addr)
    }

    /// This end of a connection.
    pub fn of_local(fd: &impl AsFd) -> io::Result<Self> {
        Self::of(fd, TcpStream::local_addr)
    }

    /// Whether the connection cannot come from another machine.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    /// The IP address, where there is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    fn of(fd: &impl AsFd, end: fn(&TcpStream) -> io::Result<SocketAddr>) -> io::Result<Self> {
        let raw = fd.as_fd().as_raw_fd();
        if option(fd, libc::SOL_SOCKET, libc::SO_DOMAIN)? == libc::AF_UNIX {
            // SAFETY: the descriptor is borrowed for the call, and `ManuallyDrop` keeps it from being closed.
            let stream = ManuallyDrop::new(unsafe { UnixStream::from_raw_fd(raw) });
            let path = stream.local_addr()?.as_pathname().map(Path::to_path_buf);
            return Ok(Self::Unix(path.unwrap_or_default()));
        }
        // SAFETY: as above.
        let stream = ManuallyDrop::new(unsafe { TcpStream::from_raw_fd(raw) });
        end(&stream).map(Self::Tcp)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The scope of a link-local address is not shown.
            Self::Tcp(SocketAddr::V6(address)) => write!(formatter, "[{}]:{}", address.ip(), address.port()),
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "{}:0", path.display()),
        }
    }
}

/// The address of a listening TCP socket; tells the port after binding to port 0.
pub fn tcp_address(listener: &impl AsFd) -> io::Result<SocketAddr> {
    // SAFETY: the descriptor is borrowed for the call, and `ManuallyDrop` keeps it from being closed.
    let listener = ManuallyDrop::new(unsafe { TcpListener::from_raw_fd(listener.as_fd().as_raw_fd()) });
    listener.local_addr()
}

fn tcp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel just returned this descriptor and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // Connections of an earlier process that linger on the port are no obstacle.
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if address.is_ipv6() {
        set_option(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    Ok(socket)
}

fn bind_and_listen(socket: &OwnedFd, address: SocketAddr, backlog: u32) -> io::Result<()> {
    match address {
        SocketAddr::V4(address) => {
            // SAFETY: all-zero is a valid `sockaddr_in`.
            let mut native: libc::sockaddr_in = unsafe { std::mem::zeroed() };
            native.sin_family = libc::AF_INET as libc::sa_family_t;
            native.sin_port = address.port().to_be();
            native.sin_addr.s_addr = u32::from_ne_bytes(address.ip().octets());
            bind(socket, &native)?;
        }
        SocketAddr::V6(address) => {
            // SAFETY: all-zero is a valid `sockaddr_in6`.
            let mut native: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
            native.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            native.sin6_port = address.port().to_be();
            native.sin6_addr.s6_addr = address.ip().octets();
            native.sin6_scope_id = address.scope_id();
            bind(socket, &native)?;
        }
    }
    listen(socket, backlog)
}

fn bind<T>(socket: &OwnedFd, address: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the pointer is to a socket address of that length, alive for the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), (&raw const *address).cast(), length) })?;
    Ok(())
}

fn listen(socket: &OwnedFd, backlog: u32) -> io::Result<()> {
    let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(socket.as_raw_fd(), backlog) })?;
    Ok(())
}

fn remove_stale_socket(path: &Path) -> io::Result<()> {
    let in_use =
        |what: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, format!("{}: {what}", path.display())));
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(found) if !found.file_type().is_socket() => in_use("exists and is not a socket"),
        Ok(_) if UnixStream::connect(path).is_ok() => in_use("another process listens on it"),
        Ok(_) => fs::remove_file(path),
    }
}

fn set_option(fd: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let length = size_of::<i32>() as libc::socklen_t;
    let pointer = (&raw const value).cast();
    // SAFETY: the pointer is to an integer of that length, alive for the call.
    check(unsafe { libc::setsockopt(fd.as_fd().as_raw_fd(), level, name, pointer, length) })?;
    Ok(())
}

fn option(fd: &impl AsFd, level: i32, name: i32) -> io::Result<i32> {
    let mut value = 0i32;
    let mut length = size_of::<i32>() as libc::socklen_t;
    let pointer = (&raw mut value).cast();
    // SAFETY: the pointers are to an integer and its length, alive for the call.
    check(unsafe { libc::getsockopt(fd.as_fd().as_raw_fd(), level, name, pointer, &raw mut length) })?;
    Ok(value)
}

fn check(result: RawFd) -> io::Result<RawFd> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    fn any_port() -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
    }

    #[test]
    fn sockets_of_one_server_share_a_port() {
        let listeners = bind_tcp(any_port(), 64, 3, Sharing::WithNobody).unwrap();
        let address = tcp_address(&listeners[0]).unwrap();
        let listeners: Vec<TcpListener> = listeners.into_iter().map(TcpListener::from).collect();
        let mut accepted = vec![0; listeners.len()];
        let clients: Vec<TcpStream> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
        for (listener, count) in listeners.iter().zip(&mut accepted) {
            assert_eq!(listener.local_addr().unwrap(), address);
            listener.set_nonblocking(true).unwrap();
            *count = std::iter::from_fn(|| listener.accept().ok()).count();
        }
        assert_eq!(accepted.iter().sum::<usize>(), clients.len());
        assert!(accepted.iter().all(|&count| count > 0), "spread over all: {accepted:?}");
    }

    #[test]
    fn a_second_server_is_refused_although_the_first_one_shares() {
        let listeners = bind_tcp(any_port(), 64, 2, Sharing::WithNobody).unwrap();
        let address = tcp_address(&listeners[0]).unwrap();
        let second = bind_tcp(address, 64, 2, Sharing::WithNobody);
        assert_eq!(second.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listeners);
        assert!(bind_tcp(address, 64, 2, Sharing::WithNobody).is_ok());
    }

    #[test]
    fn one_server_listens_on_overlapping_addresses() {
        let listeners = bind_tcp(any_port(), 64, 2, Sharing::WithNobody).unwrap();
        let all = SocketAddr::from((Ipv4Addr::UNSPECIFIED, tcp_address(&listeners[0]).unwrap().port()));
        assert!(bind_tcp(all, 64, 2, Sharing::WithNobody).is_err());
        assert!(bind_tcp(all, 64, 2, Sharing::WithOwn).is_ok());
    }

    #[test]
    fn a_port_of_a_server_that_does_not_share_is_refused() {
        let other = TcpListener::bind(any_port()).unwrap();
        let refused = bind_tcp(other.local_addr().unwrap(), 64, 1, Sharing::WithNobody);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn lingering_connections_do_not_keep_a_port() {
        let listener = TcpListener::from(bind_tcp(any_port(), 64, 1, Sharing::WithNobody).unwrap().remove(0));
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(listener);
        // Closing the server's end first leaves its half of the connection behind.
        drop(accepted);
        assert!(bind_tcp(address, 64, 2, Sharing::WithNobody).is_ok());
        drop(client);
    }

    #[test]
    fn ipv6_leaves_the_ipv4_port_alone() {
        let Ok(six) = bind_tcp(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)), 64, 2, Sharing::WithNobody)
        else {
            return; // No IPv6 on this machine.
        };
        let port = tcp_address(&six[0]).unwrap().port();
        assert!(
            bind_tcp(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)), 64, 2, Sharing::WithNobody).is_ok()
        );
    }

    #[test]
    fn accepted_sockets_get_their_options() {
        let listener = TcpListener::from(bind_tcp(any_port(), 64, 1, Sharing::WithNobody).unwrap().remove(0));
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        configure_accepted(&accepted, 300).unwrap();
        assert!(accepted.nodelay().unwrap());
        assert_eq!(option(&accepted, libc::SOL_SOCKET, libc::SO_KEEPALIVE).unwrap(), 1);
        assert_eq!(option(&accepted, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE).unwrap(), 300);
        assert_eq!(option(&accepted, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL).unwrap(), 100);
        configure_accepted(&client, 0).unwrap();
        assert_eq!(option(&client, libc::SOL_SOCKET, libc::SO_KEEPALIVE).unwrap(), 0);
        let local = client.local_addr().unwrap();
        assert_eq!(Address::of_peer(&accepted).unwrap().to_string(), format!("127.0.0.1:{}", local.port()));
        assert_eq!(Address::of_local(&client).unwrap(), Address::Tcp(local));
        assert!(Address::of_peer(&accepted).unwrap().is_local());
    }

    #[test]
    fn addresses_read_as_in_redis() {
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 1234));
        assert_eq!(Address::Tcp(six).to_string(), "[::1]:1234");
        assert_eq!(Address::Unix("/run/redis.sock".into()).to_string(), "/run/redis.sock:0");
        assert!(!Address::Tcp(SocketAddr::from(([10, 0, 0, 1], 1))).is_local());
        assert_eq!(Address::Unix(PathBuf::new()).ip(), None);
    }

    #[test]
    fn unix_sockets_replace_stale_ones_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s.sock");
        let listener = bind_unix(&path, Some(0o700), 16).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(bind_unix(&path, None, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);

        let client = UnixStream::connect(&path).unwrap();
        let (accepted, _) = UnixListener::from(listener).accept().unwrap();
        configure_accepted(&accepted, 300).unwrap();
        let shown = format!("{}:0", path.display());
        assert_eq!(Address::of_peer(&accepted).unwrap().to_string(), shown);
        assert_eq!(Address::of_local(&accepted).unwrap().to_string(), shown);
        drop(client);

        // The listener is gone, its file is not.
        assert!(path.exists());
        assert!(bind_unix(&path, None, 16).is_ok());

        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(bind_unix(&file, None, 16).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(file.exists());
    }
}
