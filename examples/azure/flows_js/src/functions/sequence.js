'use strict';

// Sequence: each step needs the result of the one before.

const df = require('durable-functions');

const { send } = require('../outbox');

df.app.orchestration('order', function* (context) {
    const order = context.df.input;
    const reserved = yield context.df.callActivity('reserveStock', order);
    const paid = yield context.df.callActivity('takePayment', reserved);
    const tracking = yield context.df.callActivity('shipOrder', paid);
    return { order: order.id, total: paid.total, tracking };
});

df.app.activity('reserveStock', {
    handler: (order) => {
        const total = order.items.reduce((sum, item) => sum + item.price * item.quantity, 0);
        send('orders', `${order.id}-reserved`, `${order.items.length} items reserved`);
        return { ...order, total };
    },
});

df.app.activity('takePayment', {
    handler: (order) => {
        send('orders', `${order.id}-paid`, `${order.total} EUR paid`);
        return { ...order, payment: `P-${order.id}` };
    },
});

df.app.activity('shipOrder', {
    handler: (order) => {
        if (!order.payment) throw new Error(`order ${order.id} is not paid`);
        send('orders', `${order.id}-shipped`, `to ${order.address}`);
        return `T-${order.id}`;
    },
});
