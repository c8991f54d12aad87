//! Everything is done twice, at every point of an order's life, and nothing changes the second time.

use domain::order::OrderCommand;
use messaging::NotificationTemplate;

use crate::full_lifecycle::{receive_return, refund, request_return, ship, units};
use crate::world::World;
use testkit::{PaymentCall, PaymentFault};

impl World {
    /// Has everything done again, and sees that nothing comes of it.
    async fn nothing_changes_the_second_time(&mut self, mails_waiting: u32) {
        self.eventually_caught_up().await;
        let (books, stock) = (self.books().await, self.stock("s").await);
        self.deliver_everything_again().await;
        assert_eq!(self.books().await, books);
        assert_eq!(self.stock("s").await, stock);
        assert_eq!(self.requests_waiting().await, mails_waiting);
    }
}

#[tokio::test]
async fn a_life_from_its_order_to_its_refund() {
    let mut world = World::start().await;
    world.receive("s", 10).await;
    world.post("a", &[("s", 3)]).await;
    testkit::eventually(crate::world::PATIENCE, || async { world.requests_waiting().await == 1 }).await;
    // The mail is asked for and not answered.
    world.nothing_changes_the_second_time(1).await;
    world.mail().await;
    let life = [
        (Some(ship("s-1", Some(units(1)))), Some(NotificationTemplate::OrderShipped)),
        (Some(ship("s-2", None)), Some(NotificationTemplate::OrderShipped)),
        (Some(OrderCommand::DeliverOrder), None),
        (Some(request_return("r", units(1))), None),
        (Some(receive_return("r")), Some(NotificationTemplate::OrderRefunded)),
        (Some(refund("f", Some(1))), Some(NotificationTemplate::OrderRefunded)),
        (None, None),
    ];
    for (command, mail) in life {
        world.eventually_nothing_waits().await;
        world.nothing_changes_the_second_time(0).await;
        let Some(command) = command else { break };
        world.ask("a", command.clone()).await.unwrap();
        if let Some(template) = mail {
            assert_eq!(world.mail().await.template, template);
        }
        // Asked for again, it is so already.
        let version = world.events("a").await.len();
        world.ask("a", command).await.unwrap();
        assert!(mail.is_some() || world.events("a").await.len() == version);
    }
    world.end().await;
}

#[tokio::test]
async fn lives_that_end_undone() {
    let mut world = World::start().await;
    world.receive("s", 10).await;
    world.post("short", &[("s", 11)]).await;
    world.is_undone("short", NotificationTemplate::OrderRejected, "not enough in stock: s").await;
    world.gateway.next(PaymentCall::Authorize, PaymentFault::Declined);
    world.post("poor", &[("s", 1)]).await;
    world.is_undone("poor", NotificationTemplate::OrderRejected, "the payment was declined").await;
    world.post("cancelled", &[("s", 1)]).await;
    world.mail().await;
    world.eventually_nothing_waits().await;
    world.cancel("cancelled").await.unwrap();
    testkit::eventually(crate::world::PATIENCE, || async { world.requests_waiting().await == 1 }).await;
    world.nothing_changes_the_second_time(1).await;
    world.is_undone("cancelled", NotificationTemplate::OrderCancelled, "changed my mind").await;
    world.eventually_nothing_waits().await;
    world.nothing_changes_the_second_time(0).await;
    world.end().await;
}
