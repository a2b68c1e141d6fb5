//! A graph while it grows: a hierarchical navigable small world (Malkov and Yashunin, arXiv 1603.09320).
//!
//! Points go in by batches: every point of a batch looks for its neighbours in the graph as it was before,
//! on as many threads as there are, and then all links are made at once, in one order. So there are no
//! locks, and a graph does not depend on threads or time (the idea is ParlayANN's, arXiv 2305.04359).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use crate::GraphOptions;
use crate::generation::codes::CodeTable;
use crate::generation::links::Links;
use crate::machine::kernels::prefetch;
use crate::search::visited::Visited;

/// Points asked for ahead of the one being compared.
const AHEAD: usize = 4;
/// A list may hold so many links more than it is to have, a share of those: it is cut down once in a while
/// and not for every link it gets.
const SPARE_SHARE: usize = 4;
/// A point that finds fewer neighbours than this share of those it may have looks again, ...
const CROWDED_SHARE: usize = 2;
/// ... among up to so many times the candidates.
const CROWDED_EF: usize = 16;
/// Distances (they are squares) that differ by less than this factor are about the same.
const CROWD_SCALE: f32 = 16.0;
/// So many times nearer (in squares) is clearly nearer.
const CLEARLY: f32 = 1.5;
/// Lists cut down at once.
const CUT_AT_ONCE: usize = 1 << 16;
/// Candidates for the neighbour of a point that no link leads to.
const CONNECT_EF: usize = 64;

/// A point and how far it is, in one number: the nearer is the smaller, and of equals the lower point.
/// Distances are never negative, so their bits have their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Near(u64);

impl Near {
    fn new(distance: f32, point: u32) -> Self {
        Self(u64::from(distance.to_bits()) << 32 | u64::from(point))
    }

    fn point(self) -> u32 {
        self.0 as u32
    }

    fn distance(self) -> f32 {
        f32::from_bits((self.0 >> 32) as u32)
    }
}

/// A graph over some of the points of a table of codes.
pub(super) struct Growing<'a> {
    codes: &'a CodeTable<'a>,
    m: usize,
    ef: usize,
    /// The levels that each point is on, besides level 0.
    heights: Vec<u8>,
    levels: Vec<Links>,
    /// Where walks begin: a point of the highest level.
    entry: Option<u32>,
}

/// What a point is to be linked to, from level 0 up.
type Chosen = Vec<Vec<u32>>;

impl<'a> Growing<'a> {
    /// A graph without points, of a table of which each point will be on so many levels besides level 0.
    pub(super) fn new(codes: &'a CodeTable<'a>, heights: Vec<u8>, options: &GraphOptions) -> Self {
        let lowest = Links::of_all(heights.len(), with_spare(2 * options.m));
        Self { codes, m: options.m, ef: options.ef_construction, heights, levels: vec![lowest], entry: None }
    }

    /// Takes over a point with its links from an earlier graph. The first is where walks begin.
    pub(super) fn adopt(&mut self, point: u32, chosen: &[Vec<u32>]) {
        for (level, links) in chosen.iter().enumerate() {
            // An earlier builder may have been more generous.
            let links = if links.len() > self.most(level) {
                let candidates = links.iter().map(|&to| self.near(point, to)).collect();
                self.select(candidates, self.most(level))
            } else {
                links.clone()
            };
            self.level(level).set(point, &links);
        }
        self.entry.get_or_insert(point);
    }

    pub(super) fn codes(&self) -> &'a CodeTable<'a> {
        self.codes
    }

    pub(super) fn levels(&self) -> &[Links] {
        &self.levels
    }

    pub(super) fn entry(&self) -> Option<u32> {
        self.entry
    }

    /// The highest level that a point is on.
    pub(super) fn height(&self, point: u32) -> usize {
        self.heights.get(point as usize).copied().map_or(0, usize::from)
    }

    /// How many links a point is to have on a level.
    fn most(&self, level: usize) -> usize {
        if level == 0 { 2 * self.m } else { self.m }
    }

    fn level(&mut self, level: usize) -> &mut Links {
        while self.levels.len() <= level {
            self.levels.push(Links::of_some(with_spare(self.m)));
        }
        &mut self.levels[level]
    }

    fn near(&self, from: u32, to: u32) -> Near {
        Near::new(self.codes.distance(from as usize, to as usize), to)
    }

    /// Puts points in that are not in yet. On the calling thread's pool.
    pub(super) fn insert(&mut self, batch: &[u32]) {
        let chosen: Vec<Chosen> = batch.par_iter().map(|&point| self.choose(point)).collect();
        // (level, to, from): what leads back.
        let mut back = Vec::new();
        for (&point, chosen) in batch.iter().zip(&chosen) {
            for level in 0..=self.height(point) {
                let links = chosen.get(level).map_or(&[][..], Vec::as_slice);
                self.level(level).set(point, links);
                back.extend(links.iter().map(|&to| (level, to, point)));
            }
            if self.entry.is_none_or(|entry| self.height(entry) < self.height(point)) {
                self.entry = Some(point);
            }
        }
        back.par_sort_unstable();
        let lists: Vec<_> = back.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).collect();
        let longer: Vec<Vec<u32>> = lists.par_iter().map(|list| self.with_links_back(list)).collect();
        for (list, links) in lists.iter().zip(&longer) {
            if let Some(&(level, to, _)) = list.first() {
                self.level(level).set(to, links);
            }
        }
    }

    /// The list of a point with links back to those that have chosen it.
    fn with_links_back(&self, back: &[(usize, u32, u32)]) -> Vec<u32> {
        let Some((&(level, point, _), links)) =
            back.first().and_then(|first| Some((first, self.levels.get(first.0)?)))
        else {
            return Vec::new();
        };
        let has = links.of(point);
        let all = has.iter().copied().chain(back.iter().map(|&(.., from)| from));
        if has.len() + back.len() <= links.room() {
            return all.collect();
        }
        self.select(all.map(|to| self.near(point, to)).collect(), self.most(level))
    }

    /// Looks for the neighbours of a point that is not in the graph, on every level that it will be on.
    fn choose(&self, point: u32) -> Chosen {
        let Some(entry) = self.entry else { return Vec::new() };
        let mut nearest = self.near(point, entry);
        let top = self.levels.len() - 1;
        let height = self.height(point).min(top);
        // What the levels above show of the surroundings. In a crowd of near-duplicates the search finds nothing
        // else, but of the crowd only few are on a high level.
        let mut wider = Vec::new();
        for level in (height + 1..=top).rev() {
            nearest = self.descend(point, nearest, level);
            wider.extend(self.links_of(level, nearest.point()).map(|to| self.near(point, to)));
        }
        let mut chosen = vec![Vec::new(); height + 1];
        let mut found = vec![nearest];
        for (level, chosen) in chosen.iter_mut().enumerate().rev() {
            found.truncate(self.ef);
            let from = found;
            let mut ef = self.ef;
            loop {
                found = self.search(point, &from, ef, level, &|_| true);
                *chosen = self.select(found.iter().chain(&wider).copied().collect(), self.m);
                // A crowd beside the point has taken all places, and one of it stands for all: look beyond it.
                let is_crowded = chosen.len() < self.m / CROWDED_SHARE && found.len() >= ef;
                if !is_crowded || ef >= self.ef * CROWDED_EF {
                    break;
                }
                ef *= 4;
            }
            if let Some(nearest) = found.first() {
                wider.extend(self.links_of(level, nearest.point()).map(|to| self.near(point, to)));
            }
        }
        chosen
    }

    fn links_of(&self, level: usize, point: u32) -> impl Iterator<Item = u32> + '_ {
        self.levels.get(level).map_or(&[][..], |links| links.of(point)).iter().copied()
    }

    /// Goes to ever nearer points of a level, until none of the neighbours is nearer.
    fn descend(&self, point: u32, mut nearest: Near, level: usize) -> Near {
        loop {
            let best =
                self.links_of(level, nearest.point()).map(|to| self.near(point, to)).fold(nearest, Near::min);
            if best == nearest {
                return nearest;
            }
            nearest = best;
        }
    }

    /// Up to `ef` of the points near to one on a level that `accept` takes, nearest first.
    fn search(
        &self,
        point: u32,
        from: &[Near],
        ef: usize,
        level: usize,
        accept: &dyn Fn(u32) -> bool,
    ) -> Vec<Near> {
        let Some(links) = self.levels.get(level) else { return Vec::new() };
        let mut visited = Visited::new(self.heights.len());
        let mut found = BinaryHeap::with_capacity(ef + 1);
        let mut open = BinaryHeap::with_capacity(4 * ef);
        for &near in from {
            visited.insert(near.point());
            open.push(Reverse(near));
            if accept(near.point()) {
                found.push(near);
            }
        }
        let mut unseen = Vec::new();
        while let Some(Reverse(candidate)) = open.pop() {
            if found.len() >= ef && found.peek().is_some_and(|&worst| candidate > worst) {
                break;
            }
            unseen.clear();
            unseen.extend(
                links.of(candidate.point()).iter().copied().filter(|&to| visited.insert(to) == Some(true)),
            );
            for &ahead in unseen.iter().take(AHEAD) {
                prefetch(self.codes.record_bytes(ahead as usize));
            }
            for (i, &to) in unseen.iter().enumerate() {
                if let Some(&ahead) = unseen.get(i + AHEAD) {
                    prefetch(self.codes.record_bytes(ahead as usize));
                }
                let near = self.near(point, to);
                if found.len() < ef || found.peek().is_some_and(|&worst| near < worst) {
                    open.push(Reverse(near));
                    if accept(to) {
                        found.push(near);
                        if found.len() > ef {
                            found.pop();
                        }
                    }
                }
            }
        }
        found.into_sorted_vec()
    }

    /// Picks neighbours that lie in different directions: one that is nearer to another neighbour than to
    /// the point can be reached through that one (the paper's algorithm 4).
    ///
    /// A crowd of near-duplicates is one place as seen from afar. So of points that are equal, one stands for all;
    /// those that are about as far as each other get no more than half of the places, as long as there are
    /// farther ones; and what is very near to the point has to be clearly nearer to a far one to stand for it. Otherwise
    /// the points of a crowd would be linked only among themselves, and what lies beside it only to the crowd.
    fn select(&self, mut candidates: Vec<Near>, most: usize) -> Vec<u32> {
        candidates.sort_unstable();
        candidates.dedup();
        let mut selected: Vec<Near> = Vec::with_capacity(most);
        let is_reached = |selected: &[Near], candidate: Near, much_nearer: usize| {
            selected.iter().enumerate().any(|(i, by)| {
                let between = self.codes.distance(candidate.point() as usize, by.point() as usize);
                let between = if i < much_nearer { between * CLEARLY } else { between };
                between < candidate.distance() || between == 0.0
            })
        };
        // Ascending, as long as nothing of `later` is in.
        let much_nearer = |selected: &[Near], candidate: Near| {
            selected.partition_point(|by| by.distance() * CROWD_SCALE < candidate.distance())
        };
        let mut later = Vec::new();
        for candidate in candidates {
            let near = much_nearer(&selected, candidate);
            if selected.len() - near >= most / 2 {
                later.push((candidate, near));
            } else if !is_reached(&selected, candidate, near) {
                selected.push(candidate);
            }
        }
        for (candidate, near) in later {
            if selected.len() < most && !is_reached(&selected, candidate, near) {
                selected.push(candidate);
            }
        }
        selected.truncate(most);
        selected.into_iter().map(Near::point).collect()
    }

    /// Ends growing: lists that are longer than they are to be are cut down, and every point gets a link on
    /// level 0 that leads to it.
    pub(super) fn finish(&mut self) {
        for level in 0..self.levels.len() {
            let most = self.most(level);
            let points = 0..self.heights.len() as u32;
            for start in points.clone().step_by(CUT_AT_ONCE) {
                let Some(links) = self.levels.get(level) else { break };
                let cut: Vec<(u32, Vec<u32>)> = (start
                    ..points.end.min(start.saturating_add(CUT_AT_ONCE as u32)))
                    .into_par_iter()
                    .filter(|&point| links.of(point).len() > most)
                    .map(|point| {
                        let candidates = links.of(point).iter().map(|&to| self.near(point, to)).collect();
                        (point, self.select(candidates, most))
                    })
                    .collect();
                for (point, links) in cut {
                    self.level(level).set(point, &links);
                }
            }
        }
        self.connect();
    }

    /// Of a crowd of near-duplicates, every link to some may have been dropped: no walk would ever find those.
    fn connect(&mut self) {
        let Some(entry) = self.entry else { return };
        let mut reached = vec![false; self.heights.len()];
        self.spread(&mut reached, entry);
        let mut last = None;
        for lost in 0..self.heights.len() as u32 {
            if reached.get(lost as usize) != Some(&false) {
                continue;
            }
            let Some(links) = self.levels.first() else { return };
            // Every such link brings along a point with room for more, so there is always one.
            let has_room =
                |from: u32| reached.get(from as usize) == Some(&true) && links.of(from).len() < links.room();
            // Of many equal points most are lost, and a search for one would look at all before it.
            let equal = last.filter(|&last| has_room(last) && self.near(lost, last).distance() == 0.0);
            let from = equal.or_else(|| {
                let found = self.search(lost, &[self.near(lost, entry)], CONNECT_EF, 0, &has_room);
                found.first().map(|near| near.point())
            });
            let Some(from) = from else { return };
            let mut longer = links.of(from).to_vec();
            longer.push(lost);
            self.level(0).set(from, &longer);
            self.spread(&mut reached, lost);
            last = Some(lost);
        }
    }

    /// Which points can be reached on level 0 from one, besides those that were.
    fn spread(&self, reached: &mut [bool], from: u32) {
        let mut open = vec![from];
        while let Some(point) = open.pop() {
            let new = reached.get_mut(point as usize).is_some_and(|seen| !std::mem::replace(seen, true));
            if new && let Some(links) = self.levels.first() {
                open.extend(links.of(point));
            }
        }
    }
}

fn with_spare(most: usize) -> usize {
    most + (most / SPARE_SHARE).max(1)
}
