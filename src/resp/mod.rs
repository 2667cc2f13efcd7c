//! The wire protocol: requests in, replies out. Knows neither commands nor sockets.

pub mod error;
pub mod reply;
pub mod request;
pub mod skim;

pub use reply::Reply;
