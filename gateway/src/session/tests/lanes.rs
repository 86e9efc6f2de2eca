use super::kit::{Kit, Rules, channel, failed, position, push, subscribe, subscribe_result, token};
use crate::session::command::SubscriptionSettings;
use crate::session::{Delivery, Effect, Joined, Outcome, Output, ServerCommand, ServerSubscribe};

fn joined(lane: Option<u32>) -> Outcome {
    Outcome::Subscribed(Ok(Joined {
        position: Some(position(5)),
        lane,
        ..Joined::default()
    }))
}

#[test]
fn clients_are_told_the_number_that_a_subscription_got() {
    let mut kit = Kit::connected(Rules::default());
    for (id, name, lane, told) in [(2, "one", Some(7), 7), (3, "two", None, 0)] {
        kit.send(id, subscribe(name));
        let (request, spec) = kit.subscribing();
        assert_eq!(spec.delivery, Delivery::Stream);
        kit.outcome(request, joined(lane));
        assert_eq!(subscribe_result(&kit.outputs()).id, told);
    }
}

#[test]
fn publications_may_be_datagrams_where_the_namespace_says_so() {
    let mut rules = Rules::default();
    rules.channels.without_namespace.quic_datagrams = true;
    let mut kit = Kit::connected(rules);
    kit.send(2, subscribe("lossy"));
    assert_eq!(kit.subscribing().1.delivery, Delivery::Datagrams);
    kit.send(3, subscribe("stream:kept"));
    assert_eq!(kit.subscribing().1.delivery, Delivery::Stream);
}

#[test]
fn the_connect_answer_tells_the_numbers_of_its_subscriptions() {
    let mut rules = Rules::default();
    rules.client.personal_channel = Some(crate::config::options::PersonalChannel { namespace: None });
    let mut kit = Kit::new(rules);
    kit.send(
        1,
        campanile_common::message::ConnectRequest {
            token: token("anna"),
            ..Default::default()
        },
    );
    kit.register();
    let (request, spec) = kit.subscribing();
    assert_eq!(spec.delivery, Delivery::Stream);
    kit.outcome(request, joined(Some(1)));
    let outputs = kit.outputs();
    let Some(Output::Reply(reply)) = outputs.first() else {
        panic!("no reply: {outputs:?}");
    };
    let result = reply.connect.as_ref().unwrap();
    assert_eq!(result.subs[0].result.as_ref().unwrap().id, 1);
}

#[test]
fn what_the_server_subscribes_later_has_no_number() {
    let mut kit = Kit::connected(Rules::default());
    let subscribe = ServerSubscribe {
        channel: channel("news"),
        settings: SubscriptionSettings::default(),
        recover_since: None,
    };
    kit.session
        .handle_server(kit.now, ServerCommand::Subscribe(Box::new(subscribe)));
    let (request, spec) = kit.subscribing();
    assert_eq!(spec.delivery, Delivery::Control);
    kit.outcome(request, joined(None));
    assert_eq!(push(&kit.outputs()).channel, "news");
}

#[test]
fn a_second_attempt_of_the_connect_answer_is_a_push_without_a_number() {
    let mut rules = Rules::default();
    rules.client.personal_channel = Some(crate::config::options::PersonalChannel { namespace: None });
    let mut kit = Kit::new(rules);
    kit.send(
        1,
        campanile_common::message::ConnectRequest {
            token: token("anna"),
            ..Default::default()
        },
    );
    kit.register();
    let (request, _) = kit.subscribing();
    kit.outcome(request, failed(campanile_common::ErrorCode::Internal));
    kit.outputs();
    kit.advance(std::time::Duration::from_secs(10));
    let effects = kit.outputs();
    let spec = effects.iter().find_map(|output| match output {
        Output::Effect(Effect::Subscribe { spec, .. }) => Some(spec),
        _ => None,
    });
    assert_eq!(spec.expect("it is tried again").delivery, Delivery::Control);
}
