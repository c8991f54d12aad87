// Fails if an AsyncAPI document has mistakes: node .ci/asyncapi.cjs FILE
const { Parser, fromFile } = require('@asyncapi/parser');

const file = process.argv[2];
fromFile(new Parser(), file).parse().then(({ document, diagnostics }) => {
    const errors = diagnostics.filter((found) => found.severity === 0);
    for (const { message, path } of errors) console.error(`${file}: /${path.join('/')}: ${message}`);
    if (document === undefined || errors.length > 0) process.exit(1);
    console.log(`${file}: ${document.channels().all().length} channels, ${document.allMessages().all().length} messages`);
});
