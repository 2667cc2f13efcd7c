//! `skerry-load`: a load generator for servers that speak the Redis protocol, cheap enough that the server is what is
//! measured. This file only puts the modules together; `bench/README.md` says how to use it.

mod args;
mod cluster;
mod cpu;
mod histogram;
mod load;
mod meter;
mod poll;
mod reply;
mod report;
mod slot;
mod workload;

use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use clap::Parser;

use args::Args;
use cluster::Node;
use load::{Load, Target};
use meter::{Meter, Outcome};
use slot::SlotSet;
use workload::{Burst, Order, Shape, SplitMix, Template};

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("skerry-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<String, Box<dyn Error>> {
    let seed = match args.seed {
        Some(seed) => seed,
        None => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.subsec_nanos().into(),
    };
    let command = args.command.as_deref().unwrap_or(if args.populate { "set" } else { "get" });
    let slots = args.slots.clone().unwrap_or_else(SlotSet::all);
    let shape =
        Shape { value_size: args.value_size, multi_keys: args.multi_keys as usize, elements: args.elements };
    let template = Template::compile(command, shape, &slots)?;
    if args.populate && !template.has_keys() {
        return Err("--populate needs a command with a key".into());
    }
    let outcome = measure(args, Rc::new(template), seed)?;
    Ok(report::line(args, command, seed, &outcome))
}

fn measure(args: &Args, template: Rc<Template>, seed: u64) -> Result<Outcome, Box<dyn Error>> {
    let pipeline = args.pipeline as usize;
    let nodes = if args.cluster {
        cluster::discover(&args.host, args.port)?
    } else {
        vec![Node { host: args.host.clone(), port: args.port, slots: SlotSet::all() }]
    };
    let mut targets = Vec::new();
    for (index, node) in (0u64..).zip(nodes) {
        let order =
            if args.populate { Order::Sequential(0) } else { Order::Random(SplitMix(seed ^ (index << 32))) };
        let burst = Burst::new(Rc::clone(&template), pipeline, &node.slots, args.keys, order)?;
        targets.push(Target { host: node.host, port: node.port, burst });
    }
    let (warmup, window) = if args.populate { (0.0, None) } else { (args.warmup, Some(args.seconds)) };
    let meter = Meter::start(
        Duration::from_secs_f64(warmup),
        window.map(Duration::from_secs_f64),
        args.server_pid.clone(),
    );
    let mut load = Load::connect(template, targets, args.connections as usize, meter)?;
    load.subscribe(args.subscribers as usize, &args.channel)?;
    let outcome = match args.rate {
        Some(rate) => {
            load.run_scheduled(Duration::from_secs_f64(f64::from(args.pipeline) / rate), args.busy)?
        }
        None => load.run_closed(args.busy)?,
    };
    Ok(outcome)
}
