'use strict';

// Sub-orchestrations: each device is set up by an orchestration of its own, side by side.

const df = require('durable-functions');

const { send } = require('../outbox');

df.app.orchestration('provisioning', function* (context) {
    const devices = context.df.input;
    const tasks = devices.map((device) => context.df.callSubOrchestrator('device', device));
    const ready = [];
    const failed = [];
    for (const [index, task] of tasks.entries()) {
        try {
            ready.push(yield task);
        } catch (error) {
            failed.push(devices[index]);
        }
    }
    return { ready, failed };
});

df.app.orchestration('device', function* (context) {
    const device = context.df.input;
    const key = yield context.df.callActivity('createKey', device);
    const firmware = yield context.df.callActivity('installFirmware', device);
    return { device, key, firmware };
});

df.app.activity('createKey', { handler: (device) => `key-of-${device}` });

df.app.activity('installFirmware', {
    handler: (device) => {
        if (device.startsWith('old-')) throw new Error(`${device} is too old for this firmware`);
        send('devices', device, 'firmware 2.1 installed');
        return '2.1';
    },
});
