//! Many orders for few units.

use domain::order::OrderStage;
use futures_util::future::join_all;
use messaging::NotificationTemplate;

use crate::world::World;

#[tokio::test]
async fn of_500_orders_for_100_units_exactly_100_are_confirmed() {
    let mut world = World::start().await;
    world.start_copy();
    world.receive("hot", 100).await;
    let ids: Vec<String> = (0..500).map(|n| format!("o-{n}")).collect();
    for some in ids.chunks(50) {
        join_all(some.iter().map(|id| world.post(id, &[("hot", 1)]))).await;
    }
    let mails = world.mails_to_the_end().await;
    let told = |template| mails.iter().filter(|mail| mail.template == template).count();
    assert_eq!((told(NotificationTemplate::OrderConfirmed), told(NotificationTemplate::OrderRejected)), (100, 400));
    let is_short = |reason: &Option<String>| reason.as_deref().is_some_and(|it| it == "not enough in stock: hot");
    assert!(mails.iter().all(|mail| mail.template == NotificationTemplate::OrderConfirmed || is_short(&mail.reason)));
    let stock = world.stock("hot").await;
    assert_eq!((stock.on_hand, stock.reserved, stock.available()), (100, 100, 0));
    assert_eq!(world.gateway.payments().values().filter(|payment| payment.is_held()).count(), 100);
    world.end().await;
}

#[tokio::test]
async fn orders_over_several_skus_get_all_of_them_or_none() {
    let mut world = World::start().await;
    world.start_copy();
    for (sku, quantity) in [("a", 20), ("b", 10), ("c", 15)] {
        world.receive(sku, quantity).await;
    }
    let wishes = [[("a", 1), ("b", 1)], [("b", 1), ("c", 1)], [("c", 2), ("a", 1)]];
    let ids: Vec<String> = (0..60).map(|n| format!("o-{n}")).collect();
    join_all(ids.iter().enumerate().map(|(n, id)| world.post(id, &wishes[n % 3]))).await;
    world.mails_to_the_end().await;

    let mut taken = [("a", 0), ("b", 0), ("c", 0)];
    for (n, id) in ids.iter().enumerate() {
        if world.order(id).await.stage() == OrderStage::Confirmed {
            for (sku, quantity) in wishes[n % 3] {
                taken.iter_mut().filter(|(taken, _)| *taken == sku).for_each(|(_, sum)| *sum += i64::from(quantity));
            }
        } else {
            world.holds_nothing(id).await;
        }
    }
    for (sku, sum) in taken {
        let stock = world.stock(sku).await;
        assert_eq!(stock.reserved, sum, "{sku}");
        assert!(stock.available() >= 0, "{sku}: {stock:?}");
    }
    // Each wish is short of something in the end.
    let left = join_all(["a", "b", "c"].map(|sku| world.stock(sku))).await;
    let left: Vec<i64> = left.iter().map(domain::stock::TrackedStock::available).collect();
    assert!(left[1] == 0 || (left[0] == 0 && left[2] == 0), "{left:?}");
    world.end().await;
}
