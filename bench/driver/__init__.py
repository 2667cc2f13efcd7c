"""What bench/run consists of: servers, cases, the measuring of both, and the report."""
