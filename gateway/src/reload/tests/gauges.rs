//! What the metrics say for as long as something is wrong with the file.

use metrics_exporter_prometheus::PrometheusBuilder;

use super::*;

#[test]
fn a_file_is_said_to_be_refused_until_it_can_be_used() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let good = format!("{SHARDS}{STORE}");
    let mut world = metrics::with_local_recorder(&recorder, || World::start(&good));
    let says = |name: &str, value: u8| {
        let line = format!("{name} {value}");
        let text = handle.render();
        assert!(text.lines().any(|found| found == line), "not {line}: {text}");
    };
    says("campanile_config_refused", 0);
    world.write("zebra: 1");
    says("campanile_config_refused", 1);
    // Found again, it is no news and as bad as before.
    world.reload.look(true);
    says("campanile_config_refused", 1);
    world.write(&good);
    says("campanile_config_refused", 0);
    says("campanile_config_restart_needed", 0);
    world.write(&format!("{good}log: {{format: json}}\n"));
    says("campanile_config_restart_needed", 1);
    fs::remove_file(world.dir.path().join("c.yaml")).unwrap();
    world.reload.look(false);
    says("campanile_config_refused", 1);
}
