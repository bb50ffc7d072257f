//! `bigrain gpu`: the GPUs of this machine.

use bigrain_gpu::{DeviceInfo, GpuError, devices};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::session::Session;
use crate::{human, table};

/// Tells about the GPUs of this machine.
#[derive(Args, Debug)]
pub struct GpuArgs {
    #[command(subcommand)]
    command: GpuCommand,
}

#[derive(Debug, Subcommand)]
enum GpuCommand {
    /// Lists the GPUs that there are, or says what is missing
    Info(InfoArgs),
}

/// Lists the GPUs that there are, or says what is missing.
#[derive(Args, Debug)]
struct InfoArgs {
    /// Write the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// When a driver that is there refuses to describe its devices. A machine without GPUs is no error.
pub fn run(args: &GpuArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let GpuCommand::Info(InfoArgs { json }) = &args.command;
    match (devices(), json) {
        (Ok(devices), true) => {
            let devices: Vec<Value> = devices.iter().map(describe).collect();
            session.write_json(&json!({ "devices": devices }))
        }
        (Ok(devices), false) => {
            let mut shown = table::plain(["", "device", "compute capability", "memory", "free"]);
            for DeviceInfo {
                number,
                name,
                capability: (major, minor),
                memory_bytes,
                free_bytes,
                ..
            } in devices
            {
                shown.add_row([
                    format!("cuda:{number}"),
                    name,
                    format!("{major}.{minor}"),
                    human::bytes(memory_bytes),
                    human::bytes(free_bytes),
                ]);
            }
            table::align_right(&mut shown, &[3, 4]);
            writeln!(session.out, "{}", shown.trim_fmt())?;
            Ok(())
        }
        (Err(GpuError::Unavailable(reason)), true) => {
            session.write_json(&json!({ "devices": [], "missing": reason }))
        }
        (Err(error @ GpuError::Unavailable(_)), false) => {
            writeln!(session.out, "{error}")?;
            Ok(())
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn describe(device: &DeviceInfo) -> Value {
    let DeviceInfo { number, name, capability: (major, minor), memory_bytes, free_bytes, .. } =
        device;
    json!({
        "device": format!("cuda:{number}"),
        "name": name,
        "compute_capability": format!("{major}.{minor}"),
        "memory_bytes": memory_bytes,
        "free_bytes": free_bytes,
    })
}
