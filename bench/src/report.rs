//! One line of JSON for one run.

use std::fmt::Write;

use crate::args::Args;
use crate::meter::Outcome;

/// The report's line. Times are in microseconds; CPU figures are per request.
pub fn line(args: &Args, command: &str, seed: u64, outcome: &Outcome) -> String {
    let seconds = outcome.elapsed.as_secs_f64();
    let per_request = |us: u64| us as f64 / outcome.requests.max(1) as f64;
    let latency = |quantile| outcome.latencies.quantile(quantile) as f64 / 1000.0;
    let mut line = format!("{{\"command\":{}", quoted(command));
    let mut field = |name: &str, value: f64| {
        // Writing to a string cannot fail.
        let _ = write!(line, ",\"{name}\":{}", (value * 1e4).round() / 1e4);
    };
    field("connections", f64::from(args.connections));
    field("pipeline", f64::from(args.pipeline));
    field("requests", outcome.requests as f64);
    field("seconds", seconds);
    field("rps", if seconds > 0.0 { outcome.requests as f64 / seconds } else { 0.0 });
    field("p50_us", latency(0.5));
    field("p99_us", latency(0.99));
    field("p999_us", latency(0.999));
    field("max_us", outcome.latencies.max() as f64 / 1000.0);
    field("over_1ms", outcome.latencies.count_above(1_000_000) as f64);
    if !args.server_pid.is_empty() {
        field("server_user_us", per_request(outcome.server_cpu.user_us));
        field("server_system_us", per_request(outcome.server_cpu.system_us));
        field("server_cpu_us", per_request(outcome.server_cpu.user_us + outcome.server_cpu.system_us));
    }
    field("load_cpu_us", per_request(outcome.own_cpu.user_us + outcome.own_cpu.system_us));
    field("missing", outcome.missing as f64);
    field("errors", outcome.errors as f64);
    let error = outcome.first_error.as_deref().map_or("null".into(), quoted);
    let _ = write!(line, ",\"first_error\":{error},\"seed\":{seed}}}");
    line
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control < ' ' => quoted.push('?'),
            plain => quoted.push(plain),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cpu::CpuTime;

    #[test]
    fn a_line() {
        let mut outcome = Outcome { requests: 1000, elapsed: Duration::from_secs(2), ..Outcome::default() };
        outcome.latencies.record(2_000_000, 1000);
        outcome.server_cpu = CpuTime { user_us: 500, system_us: 1000 };
        outcome.first_error = Some("a \"b\"\n".into());
        let args = Args::parse_from(["skerry-load", "--server-pid", "1"]);
        assert_eq!(
            line(&args, "get", 7, &outcome),
            "{\"command\":\"get\",\"connections\":50,\"pipeline\":1,\"requests\":1000,\"seconds\":2,\"rps\":500,\
             \"p50_us\":2000,\"p99_us\":2000,\"p999_us\":2000,\"max_us\":2000,\"over_1ms\":1000,\
             \"server_user_us\":0.5,\"server_system_us\":1,\"server_cpu_us\":1.5,\"load_cpu_us\":0,\
             \"missing\":0,\"errors\":0,\"first_error\":\"a \\\"b\\\"?\",\"seed\":7}"
        );
    }
}
