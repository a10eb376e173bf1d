//! The arbiter's side of lane 1: gives ids to what batches refer to, and writes the definitions.
//!
//! Does: compare what a batch refers to with what was defined (pointers in the steady state),
//! define what is new, keep the blocks of definitions until they are taken. Does not: own the
//! number space (the writer hands out ranges), send blocks.
//! In: resources, plugins, schemas, row sets. Out: [`EntryIds`], and sealed blocks for lane 1 that
//! must go down the writer's channel before the block that uses the ids.
//! Invariant: an id is in a [`PairCache`] only after its definition is in a block here.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use ocelli_model::batch::{Batch, RowSet};
use ocelli_model::clock::WallMs;
use ocelli_model::codec::EncodeError;
use ocelli_model::resource::{Resource, ResourceId};
use ocelli_model::schema::Schema;

use crate::block::{BlockBuilder, EntryHead, PushError, SealedBlock};
use crate::definition::Definition;
use crate::record::{DefinitionId, EntryKind};
use rows::RowIds;

mod rows;

/// How many ids an arbiter asks for at once: some hundred switches' worth.
pub const ID_RANGE: u32 = 1 << 15;
/// Plugins and schemas known to an arbiter; beyond them the shared tables start anew.
const SHARED_MAX: usize = 4_096;
/// Resources known to an arbiter; beyond them the table starts anew (pairs keep their ids).
const RESOURCES_MAX: usize = 65_536;

/// What a head table says of an entry by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntryIds {
    /// The resource.
    pub resource: DefinitionId,
    /// The plugin.
    pub plugin: DefinitionId,
    /// What the columns mean; batches only.
    pub schema: DefinitionId,
    /// What the rows mean; batches only.
    pub row_set: DefinitionId,
}

/// Why nothing was defined.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DefineError {
    /// The ids at hand may not suffice; nothing was changed.
    #[error("{wanted} ids may be needed and {left} are left; ask the writer for a range")]
    NeedIds {
        /// How many to ask for.
        wanted: u32,
        /// How many there are.
        left: u32,
    },
    /// A definition is larger than any may be.
    #[error("cannot define: {0}")]
    Encode(#[from] EncodeError),
    /// A definition fits no block.
    #[error("cannot define: {0}")]
    Push(#[from] PushError),
}

/// What was last defined for one (resource, plugin); owned by whoever owns the pair.
#[derive(Debug, Clone, Default)]
pub struct PairCache {
    life: u32,
    resource: Option<(Arc<Resource>, DefinitionId)>,
    plugin: Option<(Arc<str>, DefinitionId)>,
    schema: Option<(Arc<Schema>, DefinitionId)>,
    row_set: Option<RowIds>,
}

/// Ids of one arbiter.
#[derive(Debug)]
pub struct Dictionary {
    life: u32,
    ids: Range<u32>,
    resources: HashMap<ResourceId, (Arc<Resource>, DefinitionId)>,
    plugins: HashMap<Arc<str>, DefinitionId>,
    schemas: HashMap<u128, DefinitionId>,
    block: BlockBuilder,
    sealed: Vec<SealedBlock>,
    body: Vec<u8>,
}

impl Default for Dictionary {
    fn default() -> Self {
        Self {
            // A cache that was never used has life 0 and so is always taken for an old one.
            life: 1,
            ids: 0..0,
            resources: HashMap::new(),
            plugins: HashMap::new(),
            schemas: HashMap::new(),
            block: BlockBuilder::new(),
            sealed: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl Dictionary {
    /// Takes a range that the writer gave; what was left of the last one is never used.
    pub fn add_ids(&mut self, range: Range<u32>) {
        if range.len() > self.ids.len() {
            self.ids = range;
        }
    }

    /// Ids at hand.
    #[must_use]
    pub fn ids_left(&self) -> u32 {
        self.ids.end.saturating_sub(self.ids.start)
    }

    /// Forgets all that was defined: after definitions were lost on their way to the disk.
    /// Ids at hand are kept, since none of them was used.
    pub fn forget_all(&mut self) {
        self.life = self.life.wrapping_add(1).max(1);
        self.resources.clear();
        self.plugins.clear();
        self.schemas.clear();
        drop(self.block.seal());
        self.sealed.clear();
    }

    /// The blocks of definitions made since the last call, oldest first.
    pub fn take_sealed(&mut self) -> Vec<SealedBlock> {
        self.sealed.extend(self.block.seal_compressed());
        std::mem::take(&mut self.sealed)
    }

    /// Ids of an entry that belongs to a resource and maybe to a plugin.
    ///
    /// # Errors
    /// [`DefineError`]; with [`DefineError::NeedIds`] nothing has changed.
    pub fn ids_of_pair(
        &mut self,
        cache: &mut PairCache,
        resource: &Arc<Resource>,
        plugin: Option<&Arc<str>>,
        now: WallMs,
    ) -> Result<EntryIds, DefineError> {
        self.revive(cache);
        self.reserve(2)?;
        let resource = self.resource_id(cache, resource, now)?;
        let plugin = match plugin {
            Some(plugin) => self.plugin_id(cache, plugin, now)?,
            None => DefinitionId::NONE,
        };
        Ok(EntryIds {
            resource,
            plugin,
            ..EntryIds::default()
        })
    }

    /// Ids of a batch. In the steady state four pointer comparisons.
    ///
    /// # Errors
    /// [`DefineError`]; with [`DefineError::NeedIds`] nothing has changed.
    pub fn ids_of_batch(
        &mut self,
        cache: &mut PairCache,
        resource: &Arc<Resource>,
        plugin: &Arc<str>,
        batch: &Batch,
    ) -> Result<EntryIds, DefineError> {
        self.revive(cache);
        let is_known = cache
            .row_set
            .as_ref()
            .is_some_and(|known| known.is_of(&batch.rows));
        self.reserve(if is_known {
            4
        } else {
            4 + ids_of_rows_max(&batch.rows)
        })?;
        let now = batch.time;
        let pair = self.ids_of_pair(cache, resource, Some(plugin), now)?;
        let schema = self.schema_id(cache, &batch.schema, now)?;
        let row_set = match &cache.row_set {
            Some(known) if is_known => known.id(),
            _ => self.define_rows(cache, batch)?,
        };
        Ok(EntryIds {
            schema,
            row_set,
            ..pair
        })
    }

    fn revive(&self, cache: &mut PairCache) {
        if cache.life != self.life {
            *cache = PairCache {
                life: self.life,
                ..PairCache::default()
            };
        }
    }

    fn reserve(&self, wanted: u32) -> Result<(), DefineError> {
        let left = self.ids_left();
        if wanted <= left {
            return Ok(());
        }
        Err(DefineError::NeedIds {
            wanted: wanted.max(ID_RANGE),
            left,
        })
    }

    /// `count` ids in a row; reserved before.
    fn take_ids(&mut self, count: u32) -> DefinitionId {
        let first = self.ids.start;
        self.ids.start = first.saturating_add(count);
        DefinitionId(first)
    }

    fn define(&mut self, definition: &Definition, now: WallMs) -> Result<(), DefineError> {
        self.body.clear();
        definition.encode(&mut self.body)?;
        let head = EntryHead::bare(EntryKind::Definition, now);
        match self.block.push(&head, &self.body) {
            Err(PushError::Full) => {
                self.sealed.extend(self.block.seal_compressed());
                self.block.push(&head, &self.body)?;
            }
            pushed => pushed?,
        }
        if self.block.is_due() {
            self.sealed.extend(self.block.seal_compressed());
        }
        Ok(())
    }

    fn resource_id(
        &mut self,
        cache: &mut PairCache,
        resource: &Arc<Resource>,
        now: WallMs,
    ) -> Result<DefinitionId, DefineError> {
        if let Some((known, id)) = &cache.resource
            && Arc::ptr_eq(known, resource)
        {
            return Ok(*id);
        }
        let known = self
            .resources
            .get(resource.id())
            .filter(|(known, _)| known == resource);
        let id = match known {
            Some((_, id)) => *id,
            None => {
                let id = self.take_ids(1);
                let resource = Resource::clone(resource);
                self.define(&Definition::Resource { id, resource }, now)?;
                id
            }
        };
        if self.resources.len() >= RESOURCES_MAX {
            self.resources.clear();
        }
        self.resources
            .insert(resource.id().clone(), (Arc::clone(resource), id));
        cache.resource = Some((Arc::clone(resource), id));
        Ok(id)
    }

    fn plugin_id(
        &mut self,
        cache: &mut PairCache,
        plugin: &Arc<str>,
        now: WallMs,
    ) -> Result<DefinitionId, DefineError> {
        if let Some((known, id)) = &cache.plugin
            && (Arc::ptr_eq(known, plugin) || known == plugin)
        {
            return Ok(*id);
        }
        let id = match self.plugins.get(plugin) {
            Some(id) => *id,
            None => {
                let id = self.take_ids(1);
                self.define(
                    &Definition::Plugin {
                        id,
                        name: plugin.to_string(),
                    },
                    now,
                )?;
                id
            }
        };
        if self.plugins.len() >= SHARED_MAX {
            self.plugins.clear();
        }
        self.plugins.insert(Arc::clone(plugin), id);
        cache.plugin = Some((Arc::clone(plugin), id));
        Ok(id)
    }

    fn schema_id(
        &mut self,
        cache: &mut PairCache,
        schema: &Arc<Schema>,
        now: WallMs,
    ) -> Result<DefinitionId, DefineError> {
        if let Some((known, id)) = &cache.schema
            && Arc::ptr_eq(known, schema)
        {
            return Ok(*id);
        }
        let hash = schema.content_hash();
        let id = match self.schemas.get(&hash) {
            Some(id) => *id,
            None => {
                let id = self.take_ids(1);
                self.define(&Definition::of_schema(id, schema), now)?;
                id
            }
        };
        if self.schemas.len() >= SHARED_MAX {
            self.schemas.clear();
        }
        self.schemas.insert(hash, id);
        cache.schema = Some((Arc::clone(schema), id));
        Ok(id)
    }

    fn define_rows(
        &mut self,
        cache: &mut PairCache,
        batch: &Batch,
    ) -> Result<DefinitionId, DefineError> {
        let before = cache.row_set.take();
        if let Some(before) = before
            .as_ref()
            .filter(|before| before.has_content_of(&batch.rows))
        {
            let known = before.with_rows(Arc::clone(&batch.rows));
            return Ok(cache.row_set.insert(known).id());
        }
        let mut definitions = Vec::new();
        let mut take = |count| self.take_ids(count);
        let known = RowIds::define(before.as_ref(), batch, &mut take, &mut definitions);
        for definition in &definitions {
            self.define(definition, batch.time)?;
        }
        Ok(cache.row_set.insert(known).id())
    }
}

/// Each row may need an id and one for its attributes; the set needs one.
fn ids_of_rows_max(rows: &RowSet) -> u32 {
    let count: usize = rows.groups.iter().map(|table| table.rows()).sum();
    u32::try_from(2 * count + 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "dictionary_tests.rs"]
mod tests;
