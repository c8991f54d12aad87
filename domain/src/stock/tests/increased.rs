//! An order that needs more units than it has reserved.

use super::*;

#[test]
fn an_order_that_needs_more_gets_the_difference_once() {
    let mut events = vec![received(10), made("a", 2), made("b", 4)];
    assert_eq!(decide(&given(events.clone()), reserve_more("a", 2, 0)), Ok(vec![]));
    assert_eq!(decide(&given(events.clone()), reserve_more("a", 6, 0)), Ok(vec![increased("a", 4, 0)]));
    assert_eq!(
        decide(&given(events.clone()), reserve_more("a", 7, 0)),
        Err(StockError::NotEnough { available: Quantity::of(4, None) })
    );
    // Units at another location are no help, and a reservation there is another.
    let berlin = location("berlin");
    events.extend([at(&berlin, received(5)), increased("a", 4, 0)]);
    let stock = given(events.clone());
    assert_eq!(decide(&stock, reserve_more("a", 6, 0)), Ok(vec![]));
    assert_eq!(
        decide(&stock, reserve_more("a", 7, 0)),
        Err(StockError::NotEnough { available: Quantity::of(0, None) })
    );
    assert_eq!(decide(&stock, there(&berlin, reserve_more("a", 2, 0))), Ok(vec![at(&berlin, increased("a", 2, 0))]));
    // What has shipped before counts, also after the reservation is gone.
    events.push(committed("a", 6));
    let stock = given(events.clone());
    assert_eq!(
        decide(&stock, reserve_more("a", 1, 6)),
        Err(StockError::NotEnough { available: Quantity::of(0, None) })
    );
    events.extend([released("b", 4), increased("a", 1, 6)]);
    assert_eq!(decide(&given(events), commit("a", 7)), Ok(vec![committed("a", 1)]));
}
