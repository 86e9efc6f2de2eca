//! From what the user wants to a report.

use crate::Failure;
use crate::limits;
use crate::plan::Plan;
use crate::report::Report;
use crate::report::progress::Progress;
use crate::scenario;
use crate::stack::{Stack, StackOptions};
use crate::target::Target;
use crate::workers::{Crew, CrewOptions};

/// A load, and whom to put it on.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub plan: Plan,
    /// Whom to do it to; `None`: a local stack of the run's own.
    pub target: Option<Target>,
    /// What a local stack is made of.
    pub stack: StackOptions,
    /// With which workers.
    pub crew: CrewOptions,
}

/// Carries a run out: starts a local stack if there is no target, and ends it afterwards.
pub async fn execute(order: &Order, progress: &mut Progress) -> Result<Report, Failure> {
    if let Some(target) = &order.target {
        return run(order, target, progress).await;
    }
    // They are children and inherit this process's limit.
    let each = order.plan.load.connections.div_ceil(order.stack.gateways.max(1));
    limits::check_open_files(each, "use more --gateways")?;
    progress.note("starting Redis servers and gateways");
    let mut stack = Stack::start(&order.stack).await?;
    let report = run(order, stack.target(), progress).await;
    report.map_err(|failure| stack.explain(failure))
}

async fn run(order: &Order, target: &Target, progress: &mut Progress) -> Result<Report, Failure> {
    let mut crew = Crew::gather(&order.crew, progress).await?;
    let outcome = crew.run(&order.plan, target, progress).await?;
    crew.dismiss().await;
    Ok(Report::new(scenario::find(&order.plan.scenario)?, outcome))
}
