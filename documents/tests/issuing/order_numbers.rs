//! Each order has one number, and no number is missing.

use domain::order_number::{OrderNumberFormat, OrderNumberSeries, OrderNumberSeriesEvent};

use super::*;

impl Fixture {
    async fn numbering() -> Self {
        let fixture = Self::without_seller().await;
        let first = fixture.numberer().await;
        fixture.begun("order_numbers").await;
        drop(first);
        fixture
    }

    /// A process that gives orders their numbers.
    async fn numberer(&self) -> Copy {
        let format = OrderNumberFormat::parse("A-{year}").unwrap();
        self.copy_of(|store| {
            documents::number_orders(store, format, DocumentMetrics::default(), CancellationToken::new())
        })
        .await
    }

    /// An order that was just posted.
    async fn posted(&self, order_id: &str) {
        self.append(order_id, 0, vec![OrderEvent::OrderCreated(content(order_id))]).await;
    }

    /// The numbers of all orders in the order in which those came. Each is the one that its series gave it.
    async fn numbers(&self) -> Vec<Option<i64>> {
        let streams = "select distinct aggregate_id from events where aggregate_type = $1";
        let series: Vec<String> =
            sqlx::query_scalar(streams).bind(OrderNumberSeries::TYPE).fetch_all(self.pool()).await.unwrap();
        let mut given = BTreeMap::new();
        for name in &series {
            for (sequence, event) in (1..).zip(self.store.read_stream::<OrderNumberSeries>(name).await.unwrap()) {
                let OrderNumberSeriesEvent::OrderNumberIssued(number) = event.decode::<OrderNumberSeries>().unwrap();
                assert_eq!((event.version, number.sequence), (sequence, sequence), "{name}");
                let known = given.insert(number.order_id.to_string(), (name.clone(), number));
                assert!(known.is_none(), "an order has two numbers: {known:?}");
            }
        }
        let created = "select aggregate_id, to_char(recorded_at at time zone 'utc', 'YYYY')
                         from events where event_type = 'OrderCreated' order by global_position";
        let orders: Vec<(String, String)> = sqlx::query_as(created).fetch_all(self.pool()).await.unwrap();
        let mut numbers = Vec::new();
        for (order_id, year) in orders {
            let Order::Placed(order) = self.store.load::<Order>(&order_id).await.unwrap().state else { panic!() };
            let given = given.remove(&order_id);
            let series = given.as_ref().map(|(name, _)| name.clone());
            assert_eq!(order.number.as_ref().map(|it| it.series.clone()), series);
            assert!(series.is_none_or(|series| series == format!("A-{year}")));
            assert_eq!(order.order_number(), given.as_ref().map(|(_, number)| number.order_number.as_str()));
            numbers.push(order.number.map(|it| it.sequence));
        }
        assert!(given.is_empty(), "a series numbered what is no order: {given:?}");
        numbers
    }

    async fn wait_for_numbers(&self, count: usize) {
        eventually(PATIENCE, || async { self.count("OrderNumbered").await >= count }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_orders_by_several_copies_that_crash_are_each_numbered_once_without_a_gap() {
    const ORDERS: usize = 300;
    let fixture = Fixture::numbering().await;
    let post = async {
        for nth in 0..ORDERS {
            fixture.posted(&format!("o-{nth}")).await;
            // Others write to it at once, as the sagas do.
            if nth % 3 == 0 {
                fixture.note(&format!("o-{nth}"), nth).await;
            }
        }
    };
    let number = async {
        let mut copies = [fixture.numberer().await, fixture.numberer().await, fixture.numberer().await];
        let mut crashes = 0;
        while fixture.count("OrderNumbered").await < ORDERS {
            tokio::time::sleep(Duration::from_millis(50)).await;
            if crashes < 12 {
                let (at, fresh) = (crashes % 3, fixture.numberer().await);
                drop(std::mem::replace(&mut copies[at], fresh));
                crashes += 1;
            }
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(post, number) }).await.unwrap();
    // The series are without gap: see `numbers`.
    let numbers = fixture.numbers().await;
    assert_eq!((numbers.len(), numbers.iter().flatten().count()), (ORDERS, ORDERS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_copy_gives_numbers_in_the_order_in_which_orders_came() {
    const ORDERS: usize = 200;
    let fixture = Fixture::numbering().await;
    for nth in 0..ORDERS / 2 {
        fixture.posted(&format!("o-{nth}")).await;
    }
    let _copy = fixture.numberer().await;
    for nth in ORDERS / 2..ORDERS {
        fixture.posted(&format!("o-{nth}")).await;
        fixture.note(&format!("o-{nth}"), nth).await;
    }
    fixture.wait_for_numbers(ORDERS).await;
    let numbers: Vec<i64> = fixture.numbers().await.into_iter().flatten().collect();
    assert_eq!(numbers, (1..=200).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_from_before_and_imported_ones_get_no_number_and_none_gets_a_second_one() {
    let fixture = Fixture::without_seller().await;
    fixture.posted("before").await;
    let first = fixture.numberer().await;
    fixture.begun("order_numbers").await;
    drop(first);
    fixture.posted("o-1").await;
    let copy = fixture.numberer().await;
    fixture.wait_for_numbers(1).await;

    // When all of it is handled again
    drop(copy);
    let again = "update subscription_partitions set position =
                   (select global_position from events where aggregate_id = 'before') where subscription = 'order_numbers'";
    sqlx::query(again).execute(fixture.pool()).await.unwrap();
    let imported = OrderCreated { source: Some("import".into()), ..content("moved") };
    fixture.append("moved", 0, vec![OrderEvent::OrderCreated(imported)]).await;
    fixture.posted("o-2").await;
    let _copy = fixture.numberer().await;
    fixture.wait_for_numbers(2).await;

    // Then
    assert_eq!(fixture.numbers().await, [None, Some(1), None, Some(2)]);
}
