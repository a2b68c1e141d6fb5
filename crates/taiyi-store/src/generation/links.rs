//! The links of one level while a graph grows: for every point on it, a list with room for so many.

use std::collections::HashMap;

/// The lists of a level.
#[derive(Debug)]
pub(super) struct Links {
    /// Where the list of a point is; `None` on level 0, where all points have one, in their order.
    places: Option<HashMap<u32, u32>>,
    room: usize,
    counts: Vec<u32>,
    slots: Vec<u32>,
}

impl Links {
    /// Empty lists, one for each of so many points.
    pub(super) fn of_all(points: usize, room: usize) -> Self {
        Self { places: None, room, counts: vec![0; points], slots: vec![0; points * room] }
    }

    /// No lists: only some points get one, by [`set`](Self::set).
    pub(super) fn of_some(room: usize) -> Self {
        Self { places: Some(HashMap::new()), room, counts: Vec::new(), slots: Vec::new() }
    }

    /// How many links a list can hold.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    /// The number of lists.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// The length of the longest list.
    pub(super) fn longest(&self) -> usize {
        self.counts.iter().copied().max().unwrap_or(0) as usize
    }

    fn place(&self, point: u32) -> Option<usize> {
        match &self.places {
            None => Some(point as usize),
            Some(places) => places.get(&point).map(|&place| place as usize),
        }
    }

    /// Where the links of a point lead; nowhere for a point that has no list.
    pub(super) fn of(&self, point: u32) -> &[u32] {
        let Some(place) = self.place(point) else { return &[] };
        let count = self.counts.get(place).map_or(0, |&count| count as usize);
        self.slots.get(place * self.room..place * self.room + count).unwrap_or(&[])
    }

    /// Replaces the list of a point, giving it one if need be. Links beyond its room are left out.
    pub(super) fn set(&mut self, point: u32, links: &[u32]) {
        let place = self.place(point).unwrap_or_else(|| {
            let place = self.counts.len();
            if let Some(places) = &mut self.places {
                places.insert(point, place as u32);
            }
            self.counts.push(0);
            self.slots.resize(self.slots.len() + self.room, 0);
            place
        });
        let links = links.get(..self.room).unwrap_or(links);
        let at = place * self.room;
        if let Some(count) = self.counts.get_mut(place)
            && let Some(slots) = self.slots.get_mut(at..at + links.len())
        {
            *count = links.len() as u32;
            slots.copy_from_slice(links);
        }
    }
}
