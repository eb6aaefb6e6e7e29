'use strict';
// Events of the contract, on their way into durable-functions.

const ORCHESTRATOR_STARTED = 12;

/**
 * Marks all events as not played before. The package takes what stands before the last start of a
 * turn for replay; the mark on single events would make it say "replaying" also where code runs for
 * the first time, and only when the whole history is given.
 */
function unplayed(events) {
    for (const event of events) event.IsPlayed = false;
    return events;
}

/** Makes dates of texts, as the package does with a payload: every `Timestamp`, however deep. */
function withDates(value) {
    if (typeof value === 'object' && value !== null) {
        if (typeof value.Timestamp === 'string') value.Timestamp = new Date(value.Timestamp);
        for (const part of Object.values(value)) withDates(part);
    }
    return value;
}

/** Whether a history begins with turns that have run before. */
function isReplay(history) {
    return history.findLastIndex((event) => event.EventType === ORCHESTRATOR_STARTED) > 0;
}

module.exports = { isReplay, unplayed, withDates };
