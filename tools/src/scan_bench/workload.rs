//! What is measured, and in turns.

use std::time::Instant;

use bigrain_engine::Cancel;

use super::result::{Measured, Rates};

/// A side of a workload: does it once.
pub(super) type Side<'a> = Box<dyn Fn() -> anyhow::Result<()> + Sync + 'a>;

/// What both sides do in a pass.
pub(super) struct Workload<'a> {
    pub name: &'static str,
    pub levels: Option<u8>,
    pub unit: &'static str,
    pub bytes_each: Option<u64>,
    pub operations_each: Option<u64>,
    /// How much the CPU does in a pass, and what.
    pub cpu: (u64, Side<'a>),
    /// The same of the device.
    pub device: Option<(u64, Side<'a>)>,
    pub cpu_finds_nearest: Option<f64>,
}

/// How often to measure, and who is told.
pub(super) struct Turns<'a> {
    /// Passes of each side that count; one before them does not.
    pub repeat: usize,
    pub cancel: &'a Cancel,
    /// Told after each pass of both sides.
    pub on_pass: &'a mut (dyn FnMut() + Send),
}

impl Turns<'_> {
    /// Runs workloads by turns, and within each of them both sides: whatever else the machine does in the meantime slows
    /// all of them.
    pub fn run(
        &mut self,
        workloads: &[Workload<'_>],
        bandwidth: Option<u64>,
    ) -> anyhow::Result<Vec<Measured>> {
        let mut rates = vec![(Rates::default(), Rates::default()); workloads.len()];
        for round in 0..=self.repeat {
            for (workload, (cpu, device)) in workloads.iter().zip(&mut rates) {
                self.cancel.check()?;
                let sides =
                    [Some((&workload.cpu, cpu)), workload.device.as_ref().zip(Some(device))];
                for ((count, side), rates) in sides.into_iter().flatten() {
                    let start = Instant::now();
                    side()?;
                    if round > 0 {
                        rates.add(*count, start.elapsed());
                    }
                }
                (self.on_pass)();
            }
        }
        let measured = |(workload, (cpu, device)): (&Workload<'_>, (Rates, Rates))| {
            let device = workload.device.is_some().then_some(device);
            let share = |device: &Rates| {
                Some(device.median * workload.bytes_each? as f64 / bandwidth? as f64)
            };
            Measured {
                workload: workload.name,
                levels: workload.levels,
                unit: workload.unit,
                bytes_each: workload.bytes_each,
                operations_each: workload.operations_each,
                ratio: device.as_ref().map(|device| device.ratio(&cpu)),
                bandwidth_share: device.as_ref().and_then(share),
                cpu_finds_nearest: workload.cpu_finds_nearest,
                cpu,
                device,
            }
        };
        Ok(workloads.iter().zip(rates).map(measured).collect())
    }
}
