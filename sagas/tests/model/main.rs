//! A model check of the sagas: every order in which steps, crashes, duplicates, lost answers, cancellations and the other wishes of
//! people can meet, up to the bounds that each test names.
//!
//! What is checked is the product's own code: `PlacedOrder::decide` and `apply`, `Saga::next` and the rules of stock. Only the
//! provider, and how a copy of the saga goes about its work, are modelled.
#![expect(clippy::unwrap_used, reason = "a test has no better answer than to fail")]
#![expect(clippy::wildcard_enum_match_arm, reason = "a model has its own selection of events")]

mod edits;
mod order;
mod provider;
mod visit;
mod world;

use domain::order::event::{MailTemplate, OrderPayment};
use domain::order::{AuthorizationState, OrderStage, OrderStatus, Payment};
use stateright::{Checker, Model, Property};

use crate::provider::{Account, payment_of};
use crate::world::{Action, Left, Luck, World};

/// What is done wrong on purpose, to see that it is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// An authorization whose answer nobody recorded is not let go of.
    LetsGoOnlyOfWhatIsRecorded,
    /// Each try is another payment for the provider.
    DrawsANewKeyForEachTry,
    /// A movement is tried under another key although the one before may still come to something.
    IsNotSureOfTheAttemptBefore,
    /// What was asked with other means of payment before is not let go of.
    ForgetsReplacedMeans,
}

/// What there is at first, and how much may happen.
struct Fulfilment {
    begin: Vec<World>,
    bug: Option<Bug>,
}

const NOTHING: Left = Left {
    crashes: 0,
    duplicates: 0,
    faults: 0,
    cancels: 0,
    operators: 0,
    expiries: 0,
    edits: 0,
    ships: 0,
    returns: 0,
    refunds: 0,
    forgets: 0,
    failovers: 0,
};

impl Model for Fulfilment {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.begin.clone()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        actions.extend(world.actions());
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        world.after(&action, self.bug)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "no more goes back than was taken, and no more is taken than was held",
                |_, world: &World| {
                    let recorded = &world.order.order.payments;
                    recorded
                        .iter()
                        .all(|it| it.refunded_minor <= it.captured_minor && it.captured_minor <= it.amount_minor)
                        && world
                            .provider
                            .accounts
                            .values()
                            .all(|it| 0 <= it.refunded && it.refunded <= it.captured && it.captured <= it.authorized)
                },
            ),
            Property::always("each movement is made once", |_, world: &World| {
                world.provider.accounts.values().flat_map(|account| account.done.values()).all(|times| *times == 1)
            }),
            Property::always("what the provider did is recorded once all is quiet", |_, world: &World| {
                !world.is_quiet() || the_books_agree(world)
            }),
            Property::always("money is held once at most", |_, world: &World| {
                world.may_lapse || world.order.order.payments.iter().all(|it| accounts_held(world, it) <= 1)
            }),
            Property::always("nothing is left of an order that was rejected or cancelled", |_, world: &World| {
                is_standing(world) || (world.stock.reserved() == 0 && has_no_money(world))
            }),
            Property::always("an order is promised only with its units and its money", |_, world: &World| {
                let order = &world.order.order;
                order.stage() != OrderStage::Confirmed
                    || (world.stock.reserved() == world.owed_units() && (is_held(world) || world.is_waived))
            }),
            Property::always("no more is sold than there is", |_, world: &World| world.stock.available() >= 0),
            Property::always("what is quiet has come to its end", |_, world: &World| {
                !world.is_quiet() || world.stuck.is_some() || has_ended(world)
            }),
            Property::always("left alone it comes to its end", |model: &Self, world: &World| {
                // A visit under way ends, too, and is then among these.
                !world.visits.is_empty()
                    || settled(world, model.bug).is_some_and(|world| world.stuck.is_some() || has_ended(&world))
            }),
        ]
    }
}

fn is_standing(world: &World) -> bool {
    !matches!(world.order.order.status, OrderStatus::Rejected | OrderStatus::Cancelled)
}

fn has_no_money(world: &World) -> bool {
    // What nobody wants to be let go of stays held for a while.
    let may_be_held = world.is_waived || world.may_lapse;
    let accounts = world.provider.accounts.values();
    accounts.map(|it| (it.is_held() && !may_be_held, it.captured == it.refunded)).all(|it| it == (false, true))
}

/// The provider's accounts of a payment of the order.
fn accounts_of<'a>(world: &'a World, payment: &Payment) -> impl Iterator<Item = &'a Account> {
    let number = payment.number;
    let accounts = world.provider.accounts.iter();
    accounts.filter(move |(key, _)| payment_of(**key) == number).map(|(_, account)| account)
}

fn accounts_held(world: &World, payment: &Payment) -> usize {
    accounts_of(world, payment).filter(|account| account.is_held()).count()
}

/// Whether all payments are held.
fn is_held(world: &World) -> bool {
    world.order.order.counted_payments().all(|payment| match &payment.state {
        AuthorizationState::Authorized { reference, .. } => reference.parse().is_ok_and(|key| {
            let account = world.provider.accounts.get(&key);
            account.is_some_and(|it| it.is_held() && it.authorized == payment.amount_minor)
        }),
        AuthorizationState::PaidElsewhere => true,
        _ => false,
    })
}

/// Whether nothing is left to be done: the order stands and the books agree, or everything is undone; and the customer knows.
fn has_ended(world: &World) -> bool {
    let order = &world.order.order;
    let told = |template| order.mails.get(&template).is_some_and(|mails| mails.len() == 1);
    let is_told = match order.stage() {
        OrderStage::Pending | OrderStage::Undoing => false,
        OrderStage::Editing | OrderStage::PartiallyShippedEditing => false,
        OrderStage::Rejected => told(MailTemplate::OrderRejected),
        OrderStage::Cancelled => told(MailTemplate::OrderCancelled),
        OrderStage::Confirmed
        | OrderStage::ConfirmedOnHold
        | OrderStage::PartiallyShipped
        | OrderStage::PartiallyShippedOnHold
        | OrderStage::Shipped
        | OrderStage::Completed => told(MailTemplate::OrderConfirmed),
    };
    is_told
        && (is_standing(world) || has_no_money(world))
        && the_books_agree(world)
        && world.stock.reserved() == world.owed_units()
        && order.unsettled_shipment().is_none()
        && order.unsettled_refund().is_none()
        && order.payments.iter().filter(|it| it.abandoned).all(|it| accounts_held(world, it) == 0 || world.is_waived)
        && (!order.is_all_shipped() || order.payments.iter().all(|payment| is_over(world, payment)))
}

/// Whether nothing is held of a payment. What an operator gave up lapses with the provider.
fn is_over(world: &World, payment: &Payment) -> bool {
    let captures = world.order.order.shipments.iter().flat_map(|shipment| &shipment.captures);
    let mut given_up = captures.filter(|it| it.given_up && it.payment_number == payment.number);
    accounts_held(world, payment) == 0 || given_up.next().is_some()
}

/// Whether the provider took and gave back of each payment what is recorded. It was never asked about what was paid elsewhere.
fn the_books_agree(world: &World) -> bool {
    world.order.order.payments.iter().all(|payment| {
        let taken: i64 = accounts_of(world, payment).map(|account| account.captured).sum();
        let back: i64 = accounts_of(world, payment).map(|account| account.refunded).sum();
        let is_elsewhere = world.order.order.content.payments.get(payment.number as usize - 1);
        if is_elsewhere.is_some_and(OrderPayment::is_paid_elsewhere) {
            return accounts_of(world, payment).next().is_none();
        }
        (taken, back) == (payment.captured_minor, payment.refunded_minor)
    })
}

/// What comes of it if nothing more goes wrong and nobody wants anything; `None`: it goes on for ever.
fn settled(world: &World, bug: Option<Bug>) -> Option<World> {
    let mut world = world.clone();
    for _ in 0..100 {
        let actions = world.actions();
        let rank = |action: &Action| match action {
            Action::Arrive(_) => 0,
            Action::Go(_, Luck::Good) => 1,
            Action::Save(_) => 2,
            Action::Answer(_) => 3,
            Action::Look if world.visits.is_empty() => 4,
            _ => 5,
        };
        let next = actions.iter().min_by_key(|action| rank(action)).filter(|action| rank(action) < 5);
        let Some(action) = next else { return Some(world) };
        world = world.after(action, bug)?;
    }
    None
}

/// Checks all there is to check, and says how many states that were.
fn check(on_hand: &[u32], left: Left) -> usize {
    check_from(on_hand.iter().map(|on_hand| World::new(*on_hand, left)).collect())
}

/// The same of an order that was promised without anything going wrong.
fn check_promised(left: Left) -> usize {
    check_promised_with("", left)
}

/// The same of an order with these payments.
fn check_promised_with(payments: &str, left: Left) -> usize {
    let mut promised = settled(&World::paid_with(payments, 2, NOTHING), None).unwrap();
    assert_eq!(promised.order.order.stage(), OrderStage::Confirmed);
    promised.left = left;
    check_from(vec![promised])
}

fn check_from(begin: Vec<World>) -> usize {
    let checker = Fulfilment { begin, bug: None }.checker().threads(2).spawn_bfs().join();
    checker.assert_properties();
    assert!(checker.is_done());
    checker.unique_state_count()
}

/// Which properties do not hold.
fn violated(left: Left, bug: Bug) -> Vec<&'static str> {
    let checker =
        Fulfilment { begin: vec![World::new(2, left)], bug: Some(bug) }.checker().threads(2).spawn_bfs().join();
    checker.discoveries().into_keys().collect()
}

#[test]
fn until_it_is_promised_or_undone_two_crashes_two_duplicates_and_a_cancellation_leave_nothing_half_done() {
    let left = Left { crashes: 2, duplicates: 2, faults: 1, cancels: 1, ..NOTHING };
    let states = check(&[2, 1], left);
    assert!(states > 10_000, "{states} states");
}

#[test]
fn an_operator_and_the_clock_leave_nothing_half_done_either() {
    let left = Left { crashes: 1, duplicates: 1, faults: 1, operators: 1, expiries: 1, ..NOTHING };
    let states = check(&[2], left);
    assert!(states > 10_000, "{states} states");
}

#[test]
fn what_is_shipped_is_paid_once_and_what_comes_back_is_refunded_once() {
    let left = Left { crashes: 1, duplicates: 1, faults: 1, ships: 1, returns: 1, ..NOTHING };
    let states = check(&[2], left);
    assert!(states > 10_000, "{states} states");
}

#[test]
fn partial_shipments_and_refunds_by_the_way_are_each_paid_once() {
    let left = Left { crashes: 1, faults: 1, ships: 2, refunds: 1, ..NOTHING };
    let states = check(&[2], left);
    assert!(states > 10_000, "{states} states");
}

#[test]
fn whatever_operators_decide_before_it_is_promised_or_undone_leaves_nothing_half_done() {
    let left = Left { crashes: 1, faults: 1, cancels: 1, operators: 1, ..NOTHING };
    let states = check(&[2], left);
    assert!(states > 1_000, "{states} states");
}

#[test]
fn whatever_operators_decide_about_money_that_moves_it_moves_once_and_is_recorded() {
    let left = Left { faults: 1, operators: 1, ships: 1, refunds: 1, forgets: 1, ..NOTHING };
    let states = check_promised(left);
    assert!(states > 200, "{states} states");
    // Said too early, while who asked still hears the answer.
    let left = Left { duplicates: 1, operators: 1, ships: 1, refunds: 1, ..NOTHING };
    let states = check_promised(left);
    assert!(states > 200, "{states} states");
}

#[test]
fn a_provider_that_forgets_and_a_database_that_loses_its_last_commits_make_money_move_once() {
    let left = Left { faults: 1, ships: 1, refunds: 1, forgets: 1, failovers: 1, ..NOTHING };
    let states = check_promised(left);
    assert!(states > 200, "{states} states");
    let left = Left { faults: 1, operators: 1, ships: 1, failovers: 1, ..NOTHING };
    let states = check_promised(left);
    assert!(states > 200, "{states} states");
}

#[test]
fn a_database_that_loses_its_last_commits_before_the_order_is_promised_leaves_nothing_half_done() {
    let left = Left { faults: 1, operators: 1, failovers: 1, ..NOTHING };
    let states = check(&[2], left);
    assert!(states > 200, "{states} states");
}

#[test]
fn the_rest_of_an_order_that_was_partly_sent_is_cancelled_and_nothing_is_held_for_it() {
    let left = Left { crashes: 1, duplicates: 1, faults: 1, cancels: 1, ships: 1, ..NOTHING };
    let states = check(&[2], left);
    assert!(states > 10_000, "{states} states");
}

/// A unit costs 883 or 884 of 1,767: each of the payments pays for some of the first one.
const TWO_CARDS: &str = r#"{"method":"a","amount":500},{"method":"b","amount":1267}"#;
const CARD_AND_TRANSFER: &str = r#"{"method":"a","amount":500},{"method":"b","amount":1267,"reference":"r"}"#;

#[test]
fn two_payments_two_crashes_two_duplicates_and_a_cancellation_leave_nothing_half_done() {
    let left = Left { crashes: 2, duplicates: 2, faults: 1, cancels: 1, ..NOTHING };
    let states = check_from(vec![World::paid_with(TWO_CARDS, 2, left)]);
    assert!(states > 10_000, "{states} states");
}

#[test]
fn what_is_shipped_and_refunded_moves_once_on_each_of_two_payments() {
    let left = Left { crashes: 2, duplicates: 2, ships: 1, refunds: 1, ..NOTHING };
    let states = check_promised_with(TWO_CARDS, left);
    assert!(states > 1_000, "{states} states");
    let left = Left { crashes: 1, faults: 1, ships: 1, refunds: 1, ..NOTHING };
    let states = check_promised_with(TWO_CARDS, left);
    assert!(states > 1_000, "{states} states");
    let left = Left { faults: 1, ships: 2, returns: 1, ..NOTHING };
    let states = check_promised_with(TWO_CARDS, left);
    assert!(states > 1_000, "{states} states");
}

#[test]
fn the_rest_of_two_payments_is_let_go_of_when_lines_are_cancelled() {
    let left = Left { crashes: 1, duplicates: 1, faults: 1, cancels: 1, ships: 1, ..NOTHING };
    let states = check_promised_with(TWO_CARDS, left);
    assert!(states > 1_000, "{states} states");
}

#[test]
fn whatever_operators_decide_about_one_of_two_payments_each_moves_once_and_is_recorded() {
    let left = Left { faults: 1, operators: 1, cancels: 1, ..NOTHING };
    let states = check_from(vec![World::paid_with(TWO_CARDS, 2, left)]);
    assert!(states > 1_000, "{states} states");
    let left = Left { faults: 1, operators: 1, ships: 1, refunds: 1, ..NOTHING };
    let states = check_promised_with(TWO_CARDS, left);
    assert!(states > 1_000, "{states} states");
    let left = Left { duplicates: 1, operators: 1, ships: 2, ..NOTHING };
    let states = check_promised_with(TWO_CARDS, left);
    assert!(states > 200, "{states} states");
}

#[test]
fn the_provider_hears_nothing_of_what_was_paid_elsewhere_and_the_order_ends() {
    let left = Left { crashes: 1, faults: 1, cancels: 1, operators: 1, ..NOTHING };
    let states = check_from(vec![World::paid_with(CARD_AND_TRANSFER, 2, left)]);
    assert!(states > 1_000, "{states} states");
    let left = Left { faults: 1, ships: 1, refunds: 1, operators: 1, cancels: 1, ..NOTHING };
    let states = check_promised_with(CARD_AND_TRANSFER, left);
    assert!(states > 200, "{states} states");
}

#[test]
fn an_authorization_that_nobody_recorded_and_nobody_lets_go_of_is_found() {
    let left = Left { crashes: 1, cancels: 1, ..NOTHING };
    let violated = violated(left, Bug::LetsGoOnlyOfWhatIsRecorded);
    assert!(violated.contains(&"nothing is left of an order that was rejected or cancelled"), "{violated:?}");
}

#[test]
fn a_new_key_for_each_try_is_found() {
    let violated = violated(Left { crashes: 1, ..NOTHING }, Bug::DrawsANewKeyForEachTry);
    assert!(violated.contains(&"money is held once at most"), "{violated:?}");
}

#[test]
fn another_attempt_while_the_first_may_still_succeed_is_found() {
    let left = Left { faults: 1, ships: 1, refunds: 1, ..NOTHING };
    let violated = violated(left, Bug::IsNotSureOfTheAttemptBefore);
    assert!(violated.contains(&"each movement is made once"), "{violated:?}");
}

#[test]
fn means_of_payment_that_were_replaced_and_stay_charged_are_found() {
    let violated = violated(Left { faults: 1, operators: 1, ..NOTHING }, Bug::ForgetsReplacedMeans);
    assert!(violated.contains(&"money is held once at most"), "{violated:?}");
}
