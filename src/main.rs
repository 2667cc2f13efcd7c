//! The `skerry` binary: arguments to configuration to `server::boot`.

use std::io::Write;
use std::process::ExitCode;

use skerry::config::cli::{Invocation, parse};

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)) {
        Invocation::Serve(sources) => skerry::server::boot::serve(&sources),
        Invocation::Print(text) => match std::io::stdout().write_all(text.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
    }
}
