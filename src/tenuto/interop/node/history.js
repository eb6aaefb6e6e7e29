'use strict';
// Events of the contract, on their way into durable-functions.

const ORCHESTRATOR_STARTED = 12;

/**
 * Says of events whether they were played before. Up to durable-functions 3.2 that is all by which
 * the package knows what is replay: `isMarked`. Later ones take what stands before the last start of
 * a turn for it, and the marks would only make them say "replaying" of code that runs for the first
 * time, after a task that had completed before; an executor that is kept would not.
 */
function played(events, isMarked) {
    const last = lastStart(events);
    for (const [at, event] of events.entries()) event.IsPlayed = isMarked && at < last;
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
    return lastStart(history) > 0;
}

function lastStart(events) {
    return events.findLastIndex((event) => event.EventType === ORCHESTRATOR_STARTED);
}

module.exports = { isReplay, played, withDates };
