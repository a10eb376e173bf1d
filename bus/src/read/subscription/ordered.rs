//! A subscription with `order=seq`: its entries go through [`SeqOrder`] before they are handed out.
//!
//! Does: tell the order what came, wait for the next entry or for a hole's end, hand out. Does not:
//! decide (`seq_order`). In: deliveries of the reader, the bus's clock. Out: [`Item`]s.

use std::sync::Arc;

use ocelli_model::clock::Monotonic;

use super::{Come, InOrder, Item, Picked, Subscription, SubscriptionError};
use crate::read::seq_order::Ordered;
use crate::{BlockDelivery, Entry};

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
            let deadline = self.order.as_ref().and_then(|it| it.order.deadline());
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
                Come::Blocks(BlockDelivery::Trimmed { from, to }) => {
                    return Ok(Item::Trimmed { from, to });
                }
                Come::Blocks(BlockDelivery::Blocks(blocks)) => {
                    let picked = self.picked_of(blocks);
                    self.hold_back(picked);
                }
                Come::Volatile(record) if self.wants(&record) => return Ok(Item::Record(record)),
                Come::Volatile(_) | Come::Skipped => {}
            }
        }
    }

    fn hold_back(&mut self, picked: Vec<Picked>) {
        for mut picked in picked {
            let (stream, range) = (picked.block.header().stream, picked.block.range());
            let wanted = std::iter::from_fn(|| picked.pop(self.include));
            let wanted: Vec<Entry> = wanted.filter(|entry| !self.is_taken(entry)).collect();
            let Some(InOrder { order, seen }) = &mut self.order else {
                return;
            };
            order.came(stream, range);
            for entry in wanted {
                order.push(stream, entry.seq(), entry);
            }
            seen.entry(stream).or_default().insert(range);
        }
    }

    fn next_in_order(&mut self, now: Monotonic) -> Option<Item> {
        loop {
            match self.order.as_mut()?.order.pop(now) {
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
                    self.mark_seen();
                    return None;
                }
            }
        }
    }

    /// Once nothing is held back, all that came is taken.
    fn mark_seen(&mut self) {
        let Some(InOrder { order, seen }) = &mut self.order else {
            return;
        };
        if order.held() > 0 {
            return;
        }
        for (stream, ranges) in std::mem::take(seen) {
            for range in ranges.iter() {
                self.mark(stream, range);
            }
        }
    }
}
