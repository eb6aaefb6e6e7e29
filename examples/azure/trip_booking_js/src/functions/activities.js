'use strict';

const df = require('durable-functions');

const ledger = require('../ledger');

df.app.activity('book_conference', {
    handler: ({ key, conference }) => ledger.book(key, 'ticket', conference, 450),
});

df.app.activity('book_flight', {
    handler: ({ key, city }) => {
        if (city === 'Lyon') throw new Error(`no answer about flights to ${city}`);
        return ledger.book(key, 'flight', `flight to ${city}`, 220);
    },
});

df.app.activity('book_train', {
    handler: ({ key, city }) => ledger.book(key, 'train', `train to ${city}`, 140),
});

df.app.activity('reserve_hotel', {
    handler: ({ key, hotel }) => ledger.book(key, 'hotel', hotel, 390),
});

df.app.activity('confirm_hotel', {
    handler: (booking) => {
        if (booking.what === 'Hotel Opera') {
            throw new Error(`${booking.what} has no room for reservation ${booking.key}`);
        }
    },
});

df.app.activity('cancel_hotel', {
    handler: (booking) => ledger.cancel(booking.key),
});

df.app.activity('write_expense_report', {
    handler: (trips) => {
        const bookings = trips.flatMap((trip) => trip.bookings);
        return {
            lines: bookings.map(({ what, price }) => `${what.padEnd(22)} ${String(price).padStart(5)} €`),
            total: bookings.reduce((sum, booking) => sum + booking.price, 0),
        };
    },
});
