//! A subscription with `order=seq`: its entries go through [`SeqOrder`] before they are handed out.
//!
//! Does: tell the order what came, wait for the next entry or for a hole's end, hand out. Does not:
//! decide (`seq_order`). In: deliveries of the reader, the bus's clock. Out: [`Item`]s.
//! A block of which nothing is wanted is noticed with the next delivery or at a hole's end, so it
//! may hold others up for the lag, no longer.

use std::sync::Arc;

use ocelli_model::clock::Monotonic;

use super::{Come, Item, Subscription, SubscriptionError};
use crate::Delivery;
use crate::read::seq_order::Ordered;
use crate::record::Lane;

impl Subscription {
    /// As [`Subscription::next`], in the order of seqs.
    pub(super) async fn next_ordered(&mut self) -> Result<Item, SubscriptionError> {
        let clock = Arc::clone(self.source.bus().clock());
        loop {
            if let Some(item) = self.next_at_hand() {
                return Ok(item);
            }
            if let Some(item) = self.next_in_order(clock.monotonic()) {
                return Ok(item);
            }
            let deadline = self.order.as_ref().and_then(|order| order.deadline());
            let come = match deadline {
                None => self.next_come().await?,
                // A reader of the disk is given up at most once a hole, which is no oftener than
                // its queue of requests has room for.
                Some(deadline) => tokio::select! {
                    biased;
                    come = self.next_come() => come?,
                    () = clock.sleep_until(deadline) => Come::Skipped,
                },
            };
            match come {
                Come::Delivery(Delivery::Trimmed { from, to }) => {
                    return Ok(Item::Trimmed { from, to });
                }
                Come::Delivery(Delivery::Entries(entries)) => {
                    if let Some(order) = &mut self.order {
                        for entry in entries {
                            order.push(entry.stream(), entry.seq(), entry);
                        }
                    }
                }
                Come::Volatile(record) if self.wants(&record) => return Ok(Item::Record(record)),
                Come::Volatile(_) | Come::Skipped => {}
            }
            self.tell_order();
        }
    }

    /// Says what the reader took, wanted or not. A range that was told before is passed over.
    fn tell_order(&mut self) {
        let Some(order) = &mut self.order else {
            return;
        };
        let taken = self.reader.taken().iter();
        for (stream, ranges) in taken.filter(|(stream, _)| stream.lane == Lane::Data) {
            for range in ranges.iter() {
                order.came(*stream, range);
            }
        }
    }

    fn next_in_order(&mut self, now: Monotonic) -> Option<Item> {
        loop {
            match self.order.as_mut()?.pop(now) {
                Some(Ordered::Missing { stream, range }) => {
                    return Some(Item::Missing { stream, range });
                }
                Some(Ordered::Item(entry)) => {
                    let record = self.record_of(&entry);
                    self.mark_taken(&entry);
                    if let Some(record) = record {
                        return Some(Item::Record(record));
                    }
                }
                None => {
                    if self.order.as_ref()?.held() == 0 {
                        self.mark_passed_over();
                    }
                    return None;
                }
            }
        }
    }
}
