// The world of a definition: CommonJS modules from one directory, console and process.env. Called as
// (host, file, 'load', '') or (host, file, 'validate', configuration in JSON) and returns an array of
// strings, a word and its texts. `host` has source(name), fault(name), compile(name, text),
// say(level, text), environment() and the known keys.
(function (host, file, task, input) {
  'use strict';
  // A definition may replace what it likes, but not what its answer is written with.
  const { parse, stringify } = JSON;
  const { apply } = Reflect;
  const HEAD = '(function (exports, require, module) {';
  // Where there is no memory for the message either, it is empty.
  const NO_MEMORY = /^($|out of memory|string too long)/;
  const NO_STACK = 'Maximum call stack size exceeded';
  const END = ': at its end';
  const modules = new Map();

  // The interpreter cannot be interrupted within one of its own functions, and what only says that it
  // is so long needs no memory: [].reverse.call({ length: 2 ** 53 }). No real array has as many.
  const MOST_ELEMENTS = 2 ** 20;

  function bound(object, name) {
    const native = object[name];
    if (typeof native !== 'function' || name === 'constructor') return;
    const bounded = {
      [name](...values) {
        measure(this);
        for (let i = 0; i < values.length; i += 1) measure(values[i]);
        return apply(native, this, values);
      },
    }[name];
    Object.defineProperty(object, name, { value: bounded, writable: true, enumerable: false, configurable: true });
  }

  function measure(value) {
    if (typeof value !== 'object' || value === null) return;
    const { length } = value;
    if (length > MOST_ELEMENTS) throw new RangeError(`an array of ${length} elements is too long`);
  }

  Object.getOwnPropertyNames(Array.prototype).forEach((name) => bound(Array.prototype, name));
  bound(Array, 'from');

  function resolve(name, from) {
    if (typeof name !== 'string') throw new TypeError('require wants the name of a file');
    const plain = name.startsWith('./') ? name.slice(2) : name;
    if (plain.includes('/')) throw new Error(`cannot require '${name}': only files in the directory of ${from} can be required`);
    const found = [plain, `${plain}.js`, `${plain}.json`].find((one) => host.source(one) !== undefined);
    if (found === undefined) throw new Error(`cannot require '${name}': no such file in the directory of ${from}`);
    return found;
  }

  function load(name) {
    if (modules.has(name)) return modules.get(name);
    const module = { exports: {} };
    // Before it runs, so that a cycle sees what is exported so far.
    modules.set(name, module);
    try {
      fill(module, name);
    } catch (error) {
      modules.delete(name);
      throw error;
    }
    return module;
  }

  function fill(module, name) {
    const text = host.source(name);
    if (name.endsWith('.json')) {
      module.exports = json(text, name);
      return;
    }
    const body = compiled(name, `${HEAD}${text.replace(/^#!/, '//')}\n})`);
    const require = (wanted) => load(resolve(wanted, name)).exports;
    body.call(module.exports, module.exports, require, module);
  }

  function compiled(name, text) {
    try {
      return host.compile(name, text);
    } catch (error) {
      if (/^\s*(import|export)\b/m.test(host.source(name))) {
        error.message += ', a definition is a CommonJS module: use require() and module.exports';
      }
      throw error;
    }
  }

  function json(text, name) {
    try {
      return parse(text);
    } catch (error) {
      throw new SyntaxError(`${name} is not JSON: ${host.fault(name) ?? error.message}`);
    }
  }

  // Where an error arose, as file:line:column, in a file of the definition.
  function place(error) {
    for (const frame of String(error.stack).split('\n')) {
      const found = /^\s*at (?:.* \()?(.+):(\d+):(\d+)\)?$/.exec(frame);
      const text = found ? host.source(found[1]) : undefined;
      if (text === undefined) continue;
      const [, name, line, column] = found;
      // What stands around the text is not the definition's.
      if (line > text.split('\n').length) return `${name}${END}`;
      return `${name}:${line}:${line === '1' ? Math.max(1, column - HEAD.length) : column}`;
    }
    return undefined;
  }

  // What a person is told of something thrown. The place of a plain Error, which a definition throws
  // on purpose, is told only when `always`.
  function told(error, always) {
    try {
      if (!(error instanceof Error)) return shown(error);
      const plain = error.name === 'Error';
      const text = plain ? `${error.message}` : `${error.name}: ${error.message}`;
      const where = always || !plain ? place(error) : undefined;
      if (error instanceof SyntaxError && where?.endsWith(END)) return `${where}: SyntaxError: something is not closed`;
      return where === undefined ? text : `${where}: ${text}`;
    } catch {
      return 'something that cannot be shown';
    }
  }

  // What the interpreter throws when it comes to its limits, which is no decision of a definition.
  function limit(error) {
    // With no memory for an error at all, null is thrown.
    if (error === null || (error instanceof InternalError && NO_MEMORY.test(error.message))) return 'memory';
    if (error instanceof RangeError && error.message === NO_STACK) return 'stack';
    return undefined;
  }

  function shown(value) {
    if (typeof value === 'string') return value;
    if (value instanceof Error) return told(value, true);
    try {
      return stringify(value) ?? String(value);
    } catch {
      return kind(value);
    }
  }

  function say(level, values) {
    host.say(level, values.map(shown).join(' ').toWellFormed());
  }

  function kind(value) {
    if (value === null) return 'null';
    if (Array.isArray(value)) return 'an array';
    if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
    if (typeof value === 'bigint') return 'a BigInt';
    return { object: 'an object', undefined: 'undefined' }[typeof value] ?? `a ${typeof value}`;
  }

  function foreign(value) {
    return ['function', 'symbol', 'bigint'].includes(typeof value)
      || (typeof value === 'number' && !Number.isFinite(value));
  }

  function exported() {
    const definition = load(file).exports;
    if (kind(definition) !== 'an object') {
      return ['failed', `exports ${kind(definition)}, not an object, write module.exports = { key: ..., ... }`];
    }
    // The known ones may also come from a class.
    const names = new Set(Object.keys(definition).concat(host.keys));
    const values = Object.create(null);
    const others = Object.create(null);
    for (const name of names) {
      const value = definition[name];
      if (foreign(value)) others[name] = kind(value);
      else if (value !== undefined) values[name] = value;
    }
    return ['exported', stringify(values), stringify(others)];
  }

  function validated() {
    const definition = load(file).exports;
    if (typeof definition?.validate !== 'function') return ['failed', 'there is no validate any more'];
    const before = stringify(parse(input));
    const configuration = parse(input);
    let result;
    try {
      result = definition.validate(configuration);
    } catch (error) {
      return limit(error) ? ['limit', limit(error)] : ['rejected', told(error, false)];
    }
    if (result === undefined) return unchanged(configuration, before);
    if (result === null) return ['removed'];
    return returned(result, configuration, before);
  }

  function unchanged(configuration, before) {
    let after;
    try {
      after = stringify(configuration);
    } catch {
      // Changed, and how.
    }
    if (after !== before) say('warn', ['validate changed the configuration but did not return it: the change is not used']);
    return ['unchanged'];
  }

  function returned(result, configuration, before) {
    if (typeof result.then === 'function') return ['failed', 'validate returned a promise, it must decide before it returns'];
    if (typeof result === 'boolean' && typeof configuration !== 'boolean') {
      return ['failed', `validate returned ${result}, return the configuration, or throw to reject it`];
    }
    let text;
    try {
      text = stringify(result, checked);
    } catch (error) {
      if (limit(error)) return ['limit', limit(error)];
      return ['failed', `validate returned what JSON cannot hold: ${told(error, false)}`];
    }
    return text === undefined ? ['failed', 'validate returned what JSON cannot hold'] : ['accepted', text, before];
  }

  // JSON would leave these out, or write null or {}, without a word.
  function checked(name, value) {
    const empty = [Map, Set, Promise, RegExp].find((one) => value instanceof one);
    const what = foreign(value) ? kind(value) : empty && `a ${empty.name}`;
    if (what) throw new Error(name === '' ? what : `member '${name}' is ${what}`);
    return value;
  }

  globalThis.console = {};
  for (const [name, level] of [['log', 'info'], ['info', 'info'], ['warn', 'warn'], ['error', 'error'], ['debug', 'debug']]) {
    console[name] = (...values) => say(level, values);
  }
  let environment;
  globalThis.process = Object.freeze({
    get env() {
      environment ??= Object.freeze(parse(host.environment()));
      return environment;
    },
  });

  try {
    return (task === 'load' ? exported() : validated()).map((text) => text.toWellFormed());
  } catch (error) {
    return limit(error) ? ['limit', limit(error)] : ['failed', told(error, true).toWellFormed()];
  }
})
