//! From what the user wants to a report.

use crate::Failure;
use crate::plan::Plan;
use crate::plan::Share;
use crate::report::Report;
use crate::report::progress::Progress;
use crate::run::{Assignment, Clock, pair};
use crate::scenario;
use crate::stack::{Stack, StackOptions};
use crate::target::Target;
use crate::workers::{Controller, serve};

/// A load, and whom to put it on.
#[derive(Clone, Debug)]
pub struct Order {
    /// What to do.
    pub plan: Plan,
    /// Whom to do it to; `None`: a local stack of the run's own.
    pub target: Option<Target>,
    /// What a local stack is made of.
    pub stack: StackOptions,
    /// Processes to do it with.
    pub workers: usize,
}

/// Carries a run out: starts a local stack if there is no target, and ends it afterwards.
pub async fn execute(order: &Order, progress: &mut Progress) -> Result<Report, Failure> {
    if let Some(target) = &order.target {
        return run(&order.plan, target, progress).await;
    }
    progress.note("starting Redis servers and gateways");
    let mut stack = Stack::start(&order.stack).await?;
    let report = run(&order.plan, stack.target(), progress).await;
    report.map_err(|failure| stack.explain(failure))
}

async fn run(plan: &Plan, target: &Target, progress: &mut Progress) -> Result<Report, Failure> {
    let clock = Clock::new();
    let (link, port) = pair();
    let assignment = Assignment {
        id: format!("{:08x}", rand::random::<u32>()),
        plan: plan.clone(),
        share: Share::WHOLE,
        target: target.clone(),
    };
    let worker = tokio::spawn(serve(assignment, clock, link));
    let controller = Controller {
        ports: vec![port],
        clock,
        progress,
    };
    let outcome = controller.conduct(plan.clone(), target.clone()).await;
    worker.abort();
    let outcome = outcome?;
    Ok(Report::new(scenario::find(&plan.scenario)?, outcome))
}
