//! Any combination of filters finds what a look at every order finds.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use domain::money::{Currency, Money};
use domain::order::OrderStatus;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use crate::shop::{Placed, Shop, any, at};

/// The parameters of a list, by name, and its sort.
#[derive(Debug, Default)]
struct Filters {
    given: Vec<(&'static str, String)>,
    from: Option<DateTime<Utc>>,
    to: Option<DateTime<Utc>>,
    /// In minor units.
    totals: [Option<i64>; 2],
    sort: Option<&'static str>,
}

const SORTS: [&str; 6] = ["created", "-created", "updated", "-updated", "total", "-total"];

impl Filters {
    /// One condition for each bit.
    const CONDITIONS: u32 = 18;

    fn any(dice: &mut StdRng, given: u32, sort: Option<&'static str>) -> Self {
        let is_given = |bit: u32| given & (1 << bit) != 0;
        let from = at("2026-11-01T00:00:00Z") + TimeDelta::minutes(dice.random_range(-5..10 * 24) * 60);
        let to = from + TimeDelta::minutes(dice.random_range(0..6 * 24) * 60);
        let mut one_of = |names: &[&str]| (*names.choose(dice).unwrap()).to_owned();
        let conditions = [
            ("customerId", one_of(&["c-0", "c-1", "c-2", "c-3", "c-4"])),
            ("sku", one_of(&["headphone", "cable", "case", "nothing"])),
            ("status", one_of(&["pending", "confirmed", "completed", "rejected", "cancelled"])),
            ("email", one_of(&["a@example.com", "B@example.com", "c@example.com"])),
            ("paymentStatus", one_of(&["none", "authorized", "declined"])),
            ("fulfilmentStatus", one_of(&["none", "reserved", "delivered"])),
            ("returnsStatus", one_of(&["none", "requested"])),
            ("tag", one_of(&["gift", "for you", "nobody"])),
            ("channel", one_of(&["web", "shop"])),
            ("source", one_of(&["mail", "friends"])),
            ("currency", one_of(&["USD", "EUR", "JPY"])),
            ("q", one_of(&["head", "CABLE", "ada", "exam", "ad cas", "o-1", "nowhere", "a-000001 o"])),
            ("held", one_of(&["true", "false"])),
        ];
        let number = one_of(&["A-000001", "a-000002", "A-000004", "A-000007"]);
        let exchange = one_of(&["o-0", "o-1"]);
        let mut totals = [is_given(13).then_some(1), is_given(14).then_some(1)];
        totals = totals.map(|total| total.map(|_| dice.random_range(0..1_000_000)));
        if let [Some(least), Some(most)] = &mut totals {
            *most += *least;
        }
        // An amount says nothing without its currency.
        let needs_currency = totals.iter().any(Option::is_some) || sort.is_some_and(|sort| sort.ends_with("total"));
        // The bits between are those of totals and instants.
        let conditions = (0..).zip(conditions).chain([(16, ("orderNumber", number)), (17, ("exchangeFor", exchange))]);
        let given = conditions.filter(|(bit, (name, _))| is_given(*bit) || needs_currency && *name == "currency");
        Self {
            given: given.map(|(_, condition)| condition).collect(),
            from: is_given(15).then_some(from),
            to: is_given(15).then_some(to),
            totals,
            sort,
        }
    }

    fn query(&self) -> String {
        let at = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
        let amount = |minor| {
            let (_, code) = self.given.iter().find(|(name, _)| *name == "currency").unwrap();
            Money::from_minor(minor, Currency::parse(code).unwrap()).to_string()
        };
        let others = [
            ("from", self.from.map(at)),
            ("to", self.to.map(at)),
            ("totalFrom", self.totals[0].map(amount)),
            ("totalTo", self.totals[1].map(amount)),
            ("sort", self.sort.map(str::to_owned)),
        ];
        let others = others.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let all = self.given.iter().cloned().chain(others);
        all.map(|(name, value)| format!("{name}={}&", value.replace(' ', "%20"))).collect()
    }

    fn matches(&self, order: &Placed) -> bool {
        let given = self.given.iter().all(|(name, value)| match *name {
            "sku" => order.skus.contains(value),
            "held" => order.held.to_string() == *value,
            "exchangeFor" => order.exchange_for == Some(value.as_str()),
            "tag" => order.tags.contains(&value.as_str()),
            "orderNumber" => order.number.as_ref().is_some_and(|number| number.eq_ignore_ascii_case(value)),
            "email" => order.email.is_some_and(|email| email.eq_ignore_ascii_case(value)),
            "q" => value.to_lowercase().split([' ', '-']).all(|word| order.words().any(|its| its.starts_with(word))),
            name => order.says(name).as_ref() == Some(value),
        });
        given
            && self.from.is_none_or(|from| order.at >= from)
            && self.to.is_none_or(|to| order.at < to)
            && self.totals[0].is_none_or(|from| order.total >= from)
            && self.totals[1].is_none_or(|to| order.total <= to)
    }

    /// The ids of those that it takes, in the order in which they are to come.
    fn expected(&self, orders: &[Placed]) -> Vec<String> {
        let mut taken: Vec<(usize, &Placed)> =
            orders.iter().enumerate().filter(|(_, order)| self.matches(order)).collect();
        let has = |wanted: &str| self.given.iter().any(|(name, _)| *name == wanted);
        let by_status = has("status")
            && !["orderNumber", "exchangeFor", "customerId", "email", "tag", "sku", "q"].into_iter().any(has);
        match self.sort.map(|sort| sort.trim_start_matches('-')) {
            None if by_status => taken.sort_by_key(|(_, order)| (order.since, order.id.clone())),
            None | Some("created") => taken.sort_by_key(|(_, order)| (order.at, order.id.clone())),
            Some("total") => taken.sort_by_key(|(_, order)| (order.total, order.id.clone())),
            // The log has what happened at the same time in the order of versions and then of these orders.
            Some(_) => taken.sort_by_key(|(nth, order)| (order.since, order.version(), *nth)),
        }
        if self.sort.is_none_or(|sort| sort.starts_with('-')) {
            taken.reverse();
        }
        taken.into_iter().map(|(_, order)| order.id.clone()).collect()
    }
}

#[tokio::test]
async fn every_combination_of_filters_finds_what_a_look_at_every_order_finds_page_by_page() {
    let shop = Shop::open().await;
    let orders = any(7, 300);
    shop.reached("orders", shop.take(&orders).await).await;
    let mut dice = StdRng::seed_from_u64(11);
    let singles = (0..Filters::CONDITIONS).map(|bit| 1 << bit);
    let pairs = (0..Filters::CONDITIONS).flat_map(|one| (0..one).map(move |other| 1 << one | 1 << other));
    let any: Vec<u32> = (0..40).map(|_| dice.random_range(0..1 << Filters::CONDITIONS)).collect();
    let cases = [0].into_iter().chain(singles).chain(pairs).chain(any);
    let sorts: Vec<Option<&str>> = [None, None].into_iter().chain(SORTS.map(Some)).collect();
    let (mut found, mut met) = (0, std::collections::HashSet::new());
    for (nth, given) in cases.enumerate() {
        // All orders are listed in each order, the others in one.
        let one = [sorts[nth % sorts.len()]];
        for sort in if given == 0 { &sorts[..] } else { &one[..] } {
            let filters = Filters::any(&mut dice, given, *sort);
            let expected = filters.expected(&orders);
            let limit = (expected.len() / dice.random_range(1..6)).clamp(1, 200);
            let uri = format!("/orders?{}limit={limit}", filters.query());
            let pages = shop.pages(&uri).await;
            assert!(pages.iter().all(|page| page.len() <= limit), "{uri}");
            assert_eq!(pages.concat(), expected, "{uri}");
            found += usize::from(!expected.is_empty());
            met.extend(filters.given.into_iter().filter(|_| !expected.is_empty()));
        }
    }
    // Otherwise this would have compared nothing with nothing.
    assert!(found > 60, "{found}");
    for name in [
        "orderNumber",
        "exchangeFor",
        "email",
        "paymentStatus",
        "fulfilmentStatus",
        "returnsStatus",
        "tag",
        "channel",
        "source",
        "q",
        "held",
    ] {
        assert!(met.iter().any(|(met, _)| *met == name), "{name}: {met:?}");
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

#[tokio::test]
async fn an_order_that_changes_moves_to_the_end_of_those_sorted_by_their_change() {
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    let orders = ["a", "b", "c"].map(|id| Placed::new(id, "customer", created));
    shop.reached("orders", shop.take(&orders).await).await;
    assert_eq!(shop.pages("/orders?sort=updated").await.concat(), ["a", "b", "c"]);
    let page = shop.ok("/orders?sort=updated&limit=1").await;

    let noted =
        "insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
                 values ('order', 'a', 2, 'OrderConfirmed', '1.0', '{\"OrderConfirmed\":{}}', '{}')
                 returning global_position";
    let position = sqlx::query_scalar(noted).fetch_one(shop.database.pool()).await.unwrap();
    shop.reached("orders", position).await;
    assert_eq!(shop.pages("/orders?sort=updated").await.concat(), ["b", "c", "a"]);
    assert_eq!(shop.pages("/orders?sort=-updated&limit=2").await.concat(), ["a", "c", "b"]);
    // Who goes on comes to it again.
    let cursor = page["cursor"].as_str().unwrap();
    let rest = shop.ok(&format!("/orders?sort=updated&cursor={cursor}")).await;
    assert_eq!(crate::shop::ids(&rest), ["b", "c", "a"]);
    shop.close().await;
}

#[tokio::test]
async fn nobody_finds_orders_by_what_is_left_out_of_the_answers() {
    use access_control::Role;
    let shop = Shop::open().await;
    let created = at("2026-11-10T10:00:00Z");
    shop.reached("orders", shop.take(&[Placed::new("a", "customer", created)]).await).await;
    for (role, query, says) in [
        (Role::Warehouse, "paymentStatus=none", "paymentStatus"),
        (Role::Auditor, "email=a@example.com", "email"),
        (Role::Auditor, "q=customer", "q"),
    ] {
        let (status, problem) = shop.get_as(role, &format!("/orders?{query}")).await;
        assert_eq!((status.as_u16(), &problem["code"]), (403, &"forbidden".into()), "{problem}");
        assert!(problem["detail"].as_str().unwrap().ends_with(says), "{problem}");
        for route in ["/orders", "/customers/nobody/orders"] {
            let (status, _) = shop.get_as(role, &format!("{route}?{query}")).await;
            assert_eq!(status.as_u16(), 403, "{route}");
        }
    }
    let (status, problem) = shop.get_as(Role::Customer, "/orders?held=true").await;
    assert_eq!(status.as_u16(), 403, "{problem}");
    assert!(problem["detail"].as_str().unwrap().ends_with("held"), "{problem}");
    assert_eq!(shop.get_as(Role::Warehouse, "/orders?fulfilmentStatus=none").await.0.as_u16(), 200);
    assert_eq!(shop.get_as(Role::Auditor, "/orders?paymentStatus=none").await.0.as_u16(), 200);
    shop.close().await;
}
