//! How the parcels of a shipment are followed, and corrections of that.

use serde::{Deserialize, Serialize};

use super::event::{Parcel, ShipmentTrackingChanged};
use super::limits::tracking_bytes;
use super::state::{PlacedOrder, Shipment};

/// What changed about the tracking of a shipment since it was shipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackingChanges {
    /// The parcels that it was shipped with. Whoever sends the command again that shipped it names these.
    pub parcels_as_shipped: Vec<Parcel>,
    /// How often it was changed.
    pub count: u32,
    /// The size of all changes. See [`OrderGrowthLimits`](super::OrderGrowthLimits).
    pub bytes: u64,
}

impl Shipment {
    /// The parcels that it was shipped with.
    pub(super) fn parcels_as_shipped(&self) -> &[Parcel] {
        self.tracking_changes.as_ref().map_or(&self.parcels, |changes| &changes.parcels_as_shipped)
    }
}

impl PlacedOrder {
    /// How often the tracking of shipments was changed.
    pub(super) fn tracking_changes(&self) -> usize {
        let counts = self.shipments.iter().filter_map(|it| it.tracking_changes.as_ref()).map(|changes| changes.count);
        usize::try_from(counts.fold(0, u32::saturating_add)).unwrap_or(usize::MAX)
    }

    pub(super) fn change_tracking_of(&mut self, changed: ShipmentTrackingChanged) {
        let Some(shipment) = self.shipments.iter_mut().find(|it| it.id == changed.shipment_id) else { return };
        let bytes = tracking_bytes(&changed.parcels);
        let before = std::mem::replace(&mut shipment.parcels, changed.parcels);
        let none = || TrackingChanges { parcels_as_shipped: before, count: 0, bytes: 0 };
        let changes = shipment.tracking_changes.get_or_insert_with(none);
        changes.count = changes.count.saturating_add(1);
        changes.bytes = changes.bytes.saturating_add(bytes);
    }
}
