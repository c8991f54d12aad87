"""What has to hold after a fault: of each request of the load, of the log, of its orders and of their mails."""

import time

from cluster import Failed, query, until

# From the end of the load: the longest that a mail's request may wait is ORDO_NOTIFICATION_DEADLINE, twice at the most.
SETTLED_WITHIN = 90


def stored(name):
    """The orders of a load: position and order by customer."""
    rows = query(
        f"""select payload->'OrderCreated'->>'customerId', global_position, aggregate_id, event_id from events
             where event_type = 'OrderCreated' and payload->'OrderCreated'->>'customerId' like '{name}-%' order by 2"""
    )
    found = {}
    for customer, position, order, _ in rows:
        found.setdefault(customer, []).append((int(position), order))
    return found


def check_requests(load, found):
    """Each acknowledged order is there once and as it was said, no refused one is, and none is there twice."""
    problems = []
    for request in load.requests:
        orders, said = found.get(request.customer, []), request.acknowledged
        if len(orders) > 1:
            problems.append(f"{request.customer} is stored {len(orders)} times: {orders}")
        elif said and not orders:
            problems.append(f"{request.customer} was acknowledged at {said['position']} and is not there")
        elif said and orders[0] != (said["position"], said["orderId"]):
            problems.append(f"{request.customer} was acknowledged as {said} and is there as {orders[0]}")
        elif orders and request.outcome() == "refused":
            problems.append(f"{request.customer} was refused ({request.answers}) and is there")
    return problems + load.surprises


def check_log(witness):
    """What a client saw of the log is there as it saw it, and in that order."""
    rows = query("select global_position, event_id from events")
    log = {int(position): event for position, event in rows}
    problems = [f"position {it} was seen with another event" for it, event in witness.seen.items() if log.get(it) != event]
    problems += [f"the log went back to {it}" for it in witness.backwards]
    positions = sorted(log)
    # Sequences skip some after a failover, and rolled-back appends leave gaps.
    gaps = sum(1 for earlier, later in zip(positions, positions[1:]) if later > earlier + 1)
    if len(rows) != len(log):
        problems.append(f"{len(rows) - len(log)} positions are there twice")
    return problems, gaps


def until_settled():
    """Seconds until each order has its mail; nothing waits for anything after that."""
    began = time.monotonic()

    def is_settled():
        """every order was told of"""
        waiting = """select count(*) filter (where event_type = 'OrderCreated') - count(*) filter (where event_type = 'NotificationSent')
                       from events"""
        return query(waiting) == [["0"]]

    until(is_settled, patience=SETTLED_WITHIN, pause=0.5)
    return time.monotonic() - began


def check_platform(shop, found):
    """`ordo verify` finds nothing, and each order of the load has one mail; how many came twice."""
    problems = []
    verified = shop.ordo("verify")
    for _ in range(5):
        if verified.returncode == 0:
            break
        # Replies that are on their way.
        time.sleep(2)
        verified = shop.ordo("verify")
    if verified.returncode != 0:
        problems.append(f"ordo verify: {verified.stdout[-1500:]} {verified.stderr[-500:]}")
    mails, addresses = shop.mails()
    told = {it.partition("@")[0]: mail_ids for it, mail_ids in addresses.items()}
    problems += [f"{it} has {len(told.get(it, ()))} mails" for it in found if len(told.get(it, ())) != 1]
    problems += [f"{it} has a mail and no order" for it in told if it not in found]
    stuck = query("select count(*) from parked_events")[0][0]
    if stuck != "0":
        problems.append(f"{stuck} events are parked")
    return problems, sum(mails.values()) - len(mails)


def run_all(shop, load, witness):
    """All of it: what was found, and the figures."""
    problems, settled = [], None
    try:
        settled = until_settled()
    except Failed as failure:
        problems.append(str(failure))
    found = stored(load.name)
    problems += check_requests(load, found)
    in_log, gaps = check_log(witness)
    in_platform, twice = check_platform(shop, found)
    outcomes = [it.outcome() for it in load.requests]
    answers = [answer for it in load.requests for answer in it.answers]
    return problems + in_log + in_platform, {
        "orders": len(load.requests),
        "stored": sum(len(it) for it in found.values()),
        "acknowledged": outcomes.count("acknowledged"),
        "refused": outcomes.count("refused"),
        "unknown": outcomes.count("unknown"),
        "answers_unknown": answers.count("unknown"),
        "sent_again": len(answers) - len(load.requests),
        "mails_twice": twice,
        "gaps_in_positions": gaps,
        "longest_gap_s": round(load.longest_gap(), 1),
        "settled_s": settled and round(settled, 1),
    }
