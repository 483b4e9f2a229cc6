// SPDX-License-Identifier: Apache-2.0
// Single calls of a command in a pod through Node's client library, from a process
// that stays up. For each line on stdin, which is a number, makes so many calls and
// answers with a line of how many nanoseconds each took.
//
// usage: node caller.js NAMESPACE POD CONTAINER PAYLOAD-FILE COMMAND [ARGUMENT...]
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { PassThrough } from 'node:stream';
import { Exec, KubeConfig } from '@kubernetes/client-node';

const [namespace, pod, container, payloadFile, ...command] = process.argv.slice(2);
const payload = readFileSync(payloadFile);
const config = new KubeConfig();
config.loadFromDefault();
const client = new Exec(config);

// The stream of stdin is left open: the protocol (v4.channel.k8s.io) cannot end it, and
// the library would close the whole connection instead.
function exec() {
    return new Promise((resolve, reject) => {
        const stdin = new PassThrough();
        const stdout = new PassThrough();
        const stderr = new PassThrough();
        const pieces = [];
        let status;
        stdout.on('data', (piece) => pieces.push(piece));
        stderr.resume();
        client
            .exec(namespace, pod, container, command, stdout, stderr, stdin, false, (end) => {
                status = end;
            })
            .then((connection) => {
                connection.on('close', () => resolve({ status, answer: Buffer.concat(pieces) }));
                stdin.write(payload);
            }, reject);
    });
}

for await (const line of createInterface({ input: process.stdin })) {
    const times = [];
    for (let left = Number(line); left > 0; left--) {
        const start = process.hrtime.bigint();
        const { status, answer } = await exec();
        times.push(process.hrtime.bigint() - start);
        if (status?.status !== 'Success' || !answer.equals(payload))
            throw new Error(`a wrong answer of ${answer.length} bytes, ${JSON.stringify(status)}`);
    }
    console.log(times.join(' '));
}
