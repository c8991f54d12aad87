//! What a value of the command line must be.

use std::str::FromStr;
use std::time::Duration;

use ordo::settings::PlatformRole;

use crate::orders::OrderBody;

pub(super) fn warm_up(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0, 3_600.0)
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    seconds(text, 0.1, 86_400.0)
}

fn seconds(text: &str, least: f64, most: f64) -> Result<Duration, String> {
    Ok(Duration::from_secs_f64(number(text, "a number of seconds", least, most)?))
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    number(text, "a number", 0.1, 1_000_000.0)
}

pub(super) fn factor(text: &str) -> Result<f64, String> {
    number(text, "a number", 1.0, 100.0)
}

/// What can stand in a header.
pub(super) fn token(text: &str) -> Result<String, String> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    plain.then(|| text.to_owned()).ok_or_else(|| "a token is printable ASCII without spaces".to_owned())
}

fn number(text: &str, what: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be {what} from {least} to {most}"))
}

pub(super) fn intake_roles(text: &str) -> Result<String, String> {
    roles(text, &[PlatformRole::CommandApi])
}

pub(super) fn visible_roles(text: &str) -> Result<String, String> {
    roles(text, &[PlatformRole::CommandApi, PlatformRole::Projections])
}

pub(super) fn selling_roles(text: &str) -> Result<String, String> {
    roles(text, &[PlatformRole::CommandApi, PlatformRole::Sagas])
}

/// A list of roles with these among them.
fn roles(text: &str, needed: &[PlatformRole]) -> Result<String, String> {
    let given: Vec<&str> = text.split(',').collect();
    let known = given.iter().all(|name| PlatformRole::ALL.iter().any(|role| role.as_str() == *name));
    let enough = needed.iter().all(|role| given.contains(&role.as_str()));
    if text == "all" || (known && enough) {
        return Ok(text.to_owned());
    }
    let needed = needed.iter().map(|role| role.as_str()).collect::<Vec<_>>().join(" and ");
    Err(format!("must be all, or a comma list of roles with {needed}"))
}

/// The inbox keeps no more mails, and all of them must be seen.
pub(super) fn orders(text: &str) -> Result<usize, String> {
    integer(text, 1, embedded::inbox::MESSAGES_KEPT)
}

pub(super) fn payload(text: &str) -> Result<OrderBody, String> {
    match text {
        "demo" => Ok(OrderBody::Demo),
        "full" => Ok(OrderBody::Full),
        bytes => between::<usize, 512, 262_144>(bytes)
            .map(OrderBody::OfBytes)
            .map_err(|error| format!("{error}, demo or full")),
    }
}

pub(super) fn between<N, const LEAST: u64, const MOST: u64>(text: &str) -> Result<N, String>
where
    N: FromStr + TryInto<u64> + Copy,
{
    let number = text.parse::<N>().ok();
    let within = |number: &N| (*number).try_into().is_ok_and(|number| (LEAST..=MOST).contains(&number));
    number.filter(within).ok_or_else(|| format!("must be a whole number from {LEAST} to {MOST}"))
}

fn integer(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {least} to {most}"))
}
