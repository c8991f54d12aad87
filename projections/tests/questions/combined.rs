//! Any combination of filters finds what a look at every order finds.

use std::cmp::Reverse;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::order::OrderStatus;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::shop::{Placed, Shop, any, at};

#[derive(Debug, Default)]
struct Filters {
    customer: Option<String>,
    sku: Option<String>,
    status: Option<OrderStatus>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
}

impl Filters {
    fn any(dice: &mut StdRng, given: u32) -> Self {
        let given = |bit: u32| given & (1 << bit) != 0;
        let from = at("2026-11-01T00:00:00Z") + TimeDelta::minutes(dice.random_range(-5..10 * 24) * 60);
        let to = from + TimeDelta::minutes(dice.random_range(0..6 * 24) * 60);
        let statuses = [
            OrderStatus::Pending,
            OrderStatus::Confirmed,
            OrderStatus::Completed,
            OrderStatus::Rejected,
            OrderStatus::Cancelled,
        ];
        Self {
            customer: given(0).then(|| format!("c-{}", dice.random_range(0..5))),
            sku: given(1).then(|| (*["headphone", "cable", "case", "nothing"].choose(dice).unwrap()).to_owned()),
            status: given(2).then(|| *statuses.choose(dice).unwrap()),
            from: given(3).then_some(from),
            to: given(4).then_some(to),
        }
    }

    fn query(&self) -> String {
        let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let status = self.status.map(|status| serde_json::to_value(status).unwrap().as_str().unwrap().to_owned());
        let parts = [
            ("customerId", self.customer.clone()),
            ("sku", self.sku.clone()),
            ("status", status),
            ("from", self.from.map(at)),
            ("to", self.to.map(at)),
        ];
        parts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}&", value?))).collect()
    }

    fn matches(&self, order: &Placed) -> bool {
        self.customer.as_ref().is_none_or(|customer| order.customer == *customer)
            && self.sku.as_ref().is_none_or(|sku| order.skus.contains(sku))
            && self.status.is_none_or(|status| order.status == status)
            && self.from.is_none_or(|from| order.at >= from)
            && self.to.is_none_or(|to| order.at < to)
    }

    /// The ids of those that it takes, in the order in which they are to come.
    fn expected(&self, orders: &[Placed]) -> Vec<String> {
        let mut taken: Vec<&Placed> = orders.iter().filter(|order| self.matches(order)).collect();
        let by_status = self.status.is_some() && self.customer.is_none() && self.sku.is_none();
        taken.sort_by_key(|order| Reverse((if by_status { order.since } else { order.at }, order.id.clone())));
        taken.iter().map(|order| order.id.clone()).collect()
    }
}

#[tokio::test]
async fn every_combination_of_filters_finds_what_a_look_at_every_order_finds_page_by_page() {
    let shop = Shop::open().await;
    let orders = any(7, 300);
    shop.reached("orders", shop.take(&orders).await).await;
    let mut dice = StdRng::seed_from_u64(11);
    for given in (0..32).chain(0..32).chain(0..32) {
        let filters = Filters::any(&mut dice, given);
        let expected = filters.expected(&orders);
        let limit = (expected.len() / dice.random_range(1..6)).clamp(1, 200);
        let uri = format!("/orders?{}limit={limit}", filters.query());
        let pages = shop.pages(&uri).await;
        assert!(pages.iter().all(|page| page.len() <= limit), "{uri}");
        assert_eq!(pages.concat(), expected, "{uri}");
    }
    shop.close().await;
}

#[tokio::test]
async fn an_order_is_found_by_what_it_is_now() {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    shop.take(&[Placed::new("a", "c", created), Placed::new("b", "c", created)]).await;
    let confirmed = Placed::new("c", "c", created).that_is(OrderStatus::Completed, created + TimeDelta::hours(3));
    shop.reached("orders", shop.take(&[confirmed]).await).await;
    assert_eq!(shop.pages("/orders?status=pending").await, [["b", "a"]]);
    assert_eq!(shop.pages("/orders?status=completed").await, [["c"]]);
    assert!(shop.pages("/orders?status=confirmed").await.concat().is_empty());

    let listed = shop.ok("/orders?status=completed").await;
    let order = &listed["items"][0];
    assert_eq!(
        (&order["createdAt"], &order["statusSince"]),
        (&"2026-11-10T10:00:00Z".into(), &"2026-11-10T13:00:00Z".into())
    );
    assert!(order["folded"].is_null());
    shop.close().await;
}
