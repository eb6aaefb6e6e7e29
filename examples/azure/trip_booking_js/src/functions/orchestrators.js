'use strict';

const df = require('durable-functions');

const PATIENTLY = new df.RetryOptions(300, 3);
PATIENTLY.backoffCoefficient = 2;

// The same in every replay and every attempt: the booking office knows a request by it.
function key(context, what) {
    return `${context.df.instanceId} ${what}`;
}

df.app.orchestration('plan_travel', function* (context) {
    const conferences = context.df.input;
    const trips = yield context.df.Task.all(
        conferences.map((conference) => context.df.callSubOrchestrator('attend', conference))
    );
    return yield context.df.callActivity('write_expense_report', trips);
});

df.app.orchestration('attend', function* (context) {
    const { name, city, hotels } = context.df.input;
    const ticket = yield context.df.callActivity('book_conference', {
        key: key(context, name),
        conference: name,
    });
    const [journey, hotel] = yield context.df.Task.all([
        context.df.callSubOrchestrator('find_journey', city),
        context.df.callSubOrchestrator('find_hotel', hotels),
    ]);
    return { conference: name, bookings: [ticket, journey, hotel] };
});

df.app.orchestration('find_journey', function* (context) {
    const city = context.df.input;
    try {
        return yield context.df.callActivityWithRetry('book_flight', PATIENTLY, {
            key: key(context, 'flight'),
            city,
        });
    } catch (error) {
        if (!context.df.isReplaying) {
            context.log(`no flight to ${city}, looking for a train`);
        }
        return yield context.df.callActivity('book_train', { key: key(context, 'train'), city });
    }
});

df.app.orchestration('find_hotel', function* (context) {
    const hotels = context.df.input;
    for (const hotel of hotels) {
        const booking = yield context.df.callActivity('reserve_hotel', {
            key: key(context, hotel),
            hotel,
        });
        try {
            yield context.df.callActivity('confirm_hotel', booking);
            return booking;
        } catch (error) {
            yield context.df.callActivity('cancel_hotel', booking); // undo what cannot be completed
        }
    }
    throw new Error(`no room in any of ${hotels.join(', ')}`);
});
