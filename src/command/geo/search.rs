//! Searches: GEOSEARCH, GEOSEARCHSTORE, and GEORADIUS in its older forms.

use std::cmp::Ordering;
use std::ops::{Bound, ControlFlow};

use super::grid::Point;
use super::shape::{Outline, Shape};
use super::{parse_point, parse_unit, place_of, push_distance, push_point};
use crate::base::number::parse_f64;
use crate::command::args::Cursor;
use crate::command::context::Context;
use crate::command::sorted_set::{limits, store};
use crate::resp::Reply;
use crate::resp::error::SYNTAX;
use crate::store::sorted_set::{ScoreRange, SortedSet, SortedSetView, Unordered};

const NO_SUCH_MEMBER: &str = "ERR could not decode requested zset member";
const BAD_RADIUS: &str = "ERR need numeric radius";
const NEGATIVE_RADIUS: &str = "ERR radius cannot be negative";
const BAD_WIDTH: &str = "ERR need numeric width";
const BAD_HEIGHT: &str = "ERR need numeric height";
const NEGATIVE_BOX: &str = "ERR height or width cannot be negative";
const BAD_COUNT: &str = "ERR COUNT must be > 0";
const ANY_WITHOUT_COUNT: &str = "ERR the ANY argument requires COUNT argument";

/// The forms in which a search is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// GEORADIUS: a point, a radius and a unit come first.
    Radius,
    /// GEORADIUSBYMEMBER: a member, a radius and a unit come first.
    RadiusByMember,
    /// GEOSEARCH: all is said by options.
    Search,
    /// GEOSEARCHSTORE
    SearchStore,
}

impl Form {
    fn is_search(self) -> bool {
        matches!(self, Form::Search | Form::SearchStore)
    }
}

/// The middle of a search.
#[derive(Clone, Copy)]
enum Centre {
    Point(Point),
    /// Where a member is; nowhere when there is no such sorted set.
    Member(Option<Point>),
}

/// Where the result goes instead of to the client.
#[derive(Clone, Copy)]
struct Store<'a> {
    key: &'a [u8],
    by_distance: bool,
}

/// What is asked for.
struct Query<'a> {
    centre: Option<Centre>,
    outline: Option<Outline>,
    /// Metres in the unit of distances.
    unit: f64,
    with_distance: bool,
    with_score: bool,
    with_point: bool,
    /// Whether the nearest come first, or the farthest.
    order: Option<Order>,
    count: Option<usize>,
    /// Whether any that many will do.
    takes_any: bool,
    store: Option<Store<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Nearest,
    Farthest,
}

impl<'a> Query<'a> {
    /// Reads all arguments. Members are looked up on the way, since errors come in that order.
    fn parse(
        arguments: &[&'a [u8]],
        form: Form,
        may_store: bool,
        set: Option<SortedSetView<'_>>,
    ) -> Result<Self, String> {
        let mut query = Query {
            centre: None,
            outline: None,
            unit: 1.0,
            with_distance: false,
            with_score: false,
            with_point: false,
            order: None,
            count: None,
            takes_any: false,
            store: None,
        };
        let options = match form {
            Form::Radius => {
                query.centre = Some(Centre::Point(parse_point(arguments[2], arguments[3])?));
                query.take_radius(arguments[4], arguments[5])?;
                6
            }
            Form::RadiusByMember => {
                query.centre = Some(centre_at(set, arguments[2])?);
                if set.is_some() {
                    query.take_radius(arguments[3], arguments[4])?;
                }
                5
            }
            Form::Search => 2,
            Form::SearchStore => {
                query.store = Some(Store { key: arguments[1], by_distance: false });
                3
            }
        };
        let mut cursor = Cursor::new(arguments, options);
        while !cursor.is_done() {
            let taken = query.take_plain_option(&mut cursor)?
                || (may_store && query.take_store(&mut cursor, form)?)
                || (form.is_search() && query.take_shape(&mut cursor, set)?);
            if !taken {
                return Err(SYNTAX.into());
            }
        }
        query.check(form, arguments[0])?;
        Ok(query)
    }

    /// Takes an option that all forms have; `false` when it is another one.
    fn take_plain_option(&mut self, cursor: &mut Cursor<'a, '_>) -> Result<bool, String> {
        match () {
            () if cursor.accept("withdist") => self.with_distance = true,
            () if cursor.accept("withhash") => self.with_score = true,
            () if cursor.accept("withcoord") => self.with_point = true,
            () if cursor.accept("any") => self.takes_any = true,
            () if cursor.accept("asc") => self.order = Some(Order::Nearest),
            () if cursor.accept("desc") => self.order = Some(Order::Farthest),
            () if cursor.remaining() > 1 && cursor.accept("count") => {
                let count = usize::try_from(cursor.need_i64()?).ok().filter(|&count| count > 0);
                self.count = Some(count.ok_or(BAD_COUNT)?);
            }
            () => return Ok(false),
        }
        Ok(true)
    }

    fn take_store(&mut self, cursor: &mut Cursor<'a, '_>, form: Form) -> Result<bool, String> {
        if form == Form::SearchStore {
            let by_distance = cursor.accept("storedist");
            if let Some(store) = &mut self.store {
                store.by_distance |= by_distance;
            }
            return Ok(by_distance);
        }
        for (word, by_distance) in [("store", false), ("storedist", true)] {
            // Only one: the key specifications tell no more keys than that.
            if self.store.is_none() && cursor.remaining() > 1 && cursor.accept(word) {
                self.store = Some(Store { key: cursor.need()?, by_distance });
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes centre or outline of GEOSEARCH. Either may be given again in the same way, but not in the other one.
    fn take_shape(
        &mut self,
        cursor: &mut Cursor<'a, '_>,
        set: Option<SortedSetView<'_>>,
    ) -> Result<bool, String> {
        let rest = cursor.remaining();
        let is_point = matches!(self.centre, Some(Centre::Point(_)));
        let is_member = matches!(self.centre, Some(Centre::Member(_)));
        let is_circle = matches!(self.outline, Some(Outline::Circle { .. }));
        let is_box = matches!(self.outline, Some(Outline::Rectangle { .. }));
        match () {
            () if rest > 1 && !is_point && cursor.accept("frommember") => {
                self.centre = Some(centre_at(set, cursor.need()?)?);
            }
            () if rest > 2 && !is_member && cursor.accept("fromlonlat") => {
                self.centre = Some(Centre::Point(parse_point(cursor.need()?, cursor.need()?)?));
            }
            () if rest > 2 && !is_box && cursor.accept("byradius") => {
                self.take_radius(cursor.need()?, cursor.need()?)?;
            }
            () if rest > 3 && !is_circle && cursor.accept("bybox") => {
                self.take_box(cursor.need()?, cursor.need()?, cursor.need()?)?;
            }
            () => return Ok(false),
        }
        Ok(true)
    }

    fn take_radius(&mut self, radius: &[u8], unit: &[u8]) -> Result<(), &'static str> {
        let radius = parse_f64(radius).ok_or(BAD_RADIUS)?;
        if radius < 0.0 {
            return Err(NEGATIVE_RADIUS);
        }
        self.unit = parse_unit(unit)?;
        self.outline = Some(Outline::Circle { radius: radius * self.unit });
        Ok(())
    }

    fn take_box(&mut self, width: &[u8], height: &[u8], unit: &[u8]) -> Result<(), &'static str> {
        let width = parse_f64(width).ok_or(BAD_WIDTH)?;
        let height = parse_f64(height).ok_or(BAD_HEIGHT)?;
        if width < 0.0 || height < 0.0 {
            return Err(NEGATIVE_BOX);
        }
        self.unit = parse_unit(unit)?;
        self.outline = Some(Outline::Rectangle { width: width * self.unit, height: height * self.unit });
        Ok(())
    }

    fn check(&self, form: Form, name: &[u8]) -> Result<(), String> {
        if self.store.is_some() && (self.with_distance || self.with_score || self.with_point) {
            let what = if form.is_search() { "GEOSEARCHSTORE" } else { "STORE option in GEORADIUS" };
            return Err(format!(
                "ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options"
            ));
        }
        let missing = match (self.centre, self.outline) {
            _ if !form.is_search() => None,
            (None, _) => Some("FROMMEMBER or FROMLONLAT"),
            (_, None) => Some("BYRADIUS and BYBOX"),
            _ => None,
        };
        if let Some(what) = missing {
            let name = String::from_utf8_lossy(name);
            return Err(format!("ERR exactly one of {what} can be specified for {name}"));
        }
        if self.takes_any && self.count.is_none() {
            return Err(ANY_WITHOUT_COUNT.into());
        }
        Ok(())
    }

    /// The shape to search, unless its centre is nowhere.
    fn shape(&self) -> Option<Shape> {
        let (Centre::Point(centre) | Centre::Member(Some(centre))) = self.centre? else { return None };
        Some(Shape { centre, outline: self.outline? })
    }

    /// The places found, in the order asked for.
    fn find(&self, set: SortedSetView<'_>) -> Vec<Found> {
        let Some(shape) = self.shape() else { return Vec::new() };
        let count = self.count.unwrap_or(usize::MAX);
        let mut found = search(set, &shape, if self.takes_any { count } else { usize::MAX });
        // The first of so many are those nearby.
        let default = (self.count.is_some() && !self.takes_any).then_some(Order::Nearest);
        if let Some(order) = self.order.or(default) {
            found.sort_by(|one, other| {
                let by_distance = one.distance.partial_cmp(&other.distance).unwrap_or(Ordering::Equal);
                if order == Order::Nearest { by_distance } else { by_distance.reverse() }
            });
        }
        found.truncate(count);
        found
    }

    fn push(&self, found: &[Found], reply: &mut Reply<'_>) {
        let parts = [self.with_distance, self.with_score, self.with_point];
        let parts = parts.into_iter().filter(|&part| part).count();
        reply.array(found.len());
        for place in found {
            if parts > 0 {
                reply.array(1 + parts);
            }
            reply.bulk(&place.member);
            if self.with_distance {
                push_distance(place.distance / self.unit, reply);
            }
            if self.with_score {
                reply.int(place.score as i64);
            }
            if self.with_point {
                push_point(place.point, reply);
            }
        }
    }
}

/// A place in the shape.
struct Found {
    member: Box<[u8]>,
    score: f64,
    point: Point,
    /// From the centre, in metres.
    distance: f64,
}

fn centre_at(set: Option<SortedSetView<'_>>, member: &[u8]) -> Result<Centre, &'static str> {
    match set {
        None => Ok(Centre::Member(None)),
        Some(_) => Ok(Centre::Member(Some(place_of(set, member).ok_or(NO_SUCH_MEMBER)?))),
    }
}

/// All places in the shape, cell by cell; ends when it has found `enough`.
fn search(set: SortedSetView<'_>, shape: &Shape, enough: usize) -> Vec<Found> {
    let mut found = Vec::new();
    for cell in shape.cells() {
        let scores = cell.scores();
        let (min, max) = (Bound::Included(scores.start as f64), Bound::Excluded(scores.end as f64));
        let ranks = set.ranks_by_score(&ScoreRange { min, max });
        let ended = set.try_visit(ranks, false, |member, score| {
            let point = Point::of_score(score);
            if let Some(distance) = shape.distance_inside(point) {
                found.push(Found { member: member.into(), score, point, distance });
            }
            if found.len() >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if ended.is_break() {
            break;
        }
    }
    found
}

/// GEORADIUS key longitude latitude radius unit [option …]
pub fn georadius(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Form::Radius, true);
}

/// GEORADIUS_RO key longitude latitude radius unit [option …]
pub fn georadius_ro(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Form::Radius, false);
}

/// GEORADIUSBYMEMBER key member radius unit [option …]
pub fn georadiusbymember(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Form::RadiusByMember, true);
}

/// GEORADIUSBYMEMBER_RO key member radius unit [option …]
pub fn georadiusbymember_ro(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Form::RadiusByMember, false);
}

/// GEOSEARCH key FROMMEMBER member | FROMLONLAT longitude latitude BYRADIUS radius unit | BYBOX width height unit [option …]
pub fn geosearch(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Form::Search, false);
}

/// GEOSEARCHSTORE destination source and what GEOSEARCH takes
pub fn geosearchstore(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    answer(ctx, arguments, Form::SearchStore, true);
}

fn answer(ctx: &mut Context<'_>, arguments: &[&[u8]], form: Form, may_store: bool) {
    let key = arguments[if form == Form::SearchStore { 2 } else { 1 }];
    let found = ctx.read_as::<SortedSet, _>(key, |set, _| {
        let query = Query::parse(arguments, form, may_store, set)?;
        let found = set.map_or_else(Vec::new, |set| query.find(set));
        Ok::<_, String>((query, found))
    });
    match found {
        Some(Ok((query, found))) => match query.store {
            Some(to) => store_found(ctx, to, query.unit, &found, form),
            None => query.push(&found, &mut ctx.reply),
        },
        Some(Err(error)) => ctx.reply.error(error),
        None => {}
    }
}

fn store_found(ctx: &mut Context<'_>, to: Store<'_>, unit: f64, found: &[Found], form: Form) {
    let mut result = Unordered::default();
    for place in found {
        let score = if to.by_distance { place.distance / unit } else { place.score };
        result.update(&place.member, |_| score);
    }
    let event = if form.is_search() { "geosearchstore" } else { "georadiusstore" };
    let result = SortedSet::of(result, limits(ctx.config));
    store(ctx, to.key, result, event);
}
