// What stands around the functions of one design document: evaluated first in a fresh context, so
// what is taken here cannot be replaced later.  It ends in the object that the host calls.
//
// Everything goes in and comes out as text.  JSON never holds a raw control character, so these
// separate what is put together: \x1e documents, \x1d views, \x1f keys and values.  A view that
// threw is \x18 and why; a call that failed is \x19 and why.  Long texts are joined, never added:
// the host cannot read the ropes that adding makes.

(function () {
  "use strict";

  const { parse, stringify } = JSON;
  const { freeze, keys, prototype: { hasOwnProperty } } = Object;
  const isArray = Array.isArray;
  const call = Function.prototype.call;
  const has = call.bind(hasOwnProperty);
  const replace = call.bind(String.prototype.replace);
  const split = call.bind(String.prototype.split);
  const slice = call.bind(String.prototype.slice);
  const indexOf = call.bind(String.prototype.indexOf);
  const join = call.bind(Array.prototype.join);
  const NewFunction = Function;
  const Text = String;
  const RealDate = Date;
  const construct = Reflect.construct;

  const LOGGED = 20;
  const LONGEST = 500;

  let design = {};
  let emitted = [];
  let logged = [];
  let compiled = { __proto__: null };
  let modules = { __proto__: null };
  let second = 0;
  let done = [];

  // -- text ------------------------------------------------------------------------------------

  // Half of a surrogate pair is no text, and the hub refuses it: it becomes the replacement
  // character.
  function wellFormed(match, half) {
    return half ? "\ufffd" : match;
  }

  function toText(value) {
    const text = stringify(value);
    if (text === undefined) return "null";
    if (indexOf(text, "\\ud") < 0) return text;
    return replace(text, /\\(?:u(d[89a-f][0-9a-f]{2})|.)/g, wellFormed);
  }

  function describe(error) {
    let text;
    try {
      if (typeof error === "object" && error !== null && !(error instanceof Error)) {
        text = stringify(error);
      } else {
        text = Text(error);
      }
    } catch (_) {
      text = "an error that cannot be shown";
    }
    return slice(replace(Text(text), /[\x00-\x1f\ud800-\udfff]/g, " "), 0, LONGEST);
  }

  function freezeAll(value) {
    if (typeof value !== "object" || value === null) return value;
    const names = keys(value);
    for (let i = 0; i < names.length; i++) freezeAll(value[names[i]]);
    return freeze(value);
  }

  // -- compiling -------------------------------------------------------------------------------

  function compile(source) {
    if (typeof source !== "string") throw new CompilationError("It is not a text.");
    let made;
    try {
      // As a statement of its own, so that comments and semicolons around it do no harm.
      made = new NewFunction("let made = " + source + "\n; return made;")();
    } catch (error) {
      throw new CompilationError(describe(error));
    }
    if (typeof made !== "function") throw new CompilationError("It is not a function.");
    return made;
  }

  class CompilationError extends Error {}

  function functionAt(name, source) {
    if (!(name in compiled)) compiled[name] = compile(source);
    return compiled[name];
  }

  // -- require (CommonJS, modules are texts in the design document) ----------------------------

  function resolve(path, from) {
    const steps = split(path, "/");
    const place = steps[0] === "." || steps[0] === ".." ? split(from, "/").slice(0, -1) : [];
    for (let i = 0; i < steps.length; i++) {
      if (steps[i] === "..") {
        if (!place.length) throw new Error("invalid_require_path " + path);
        place.length -= 1;
      } else if (steps[i] !== "." && steps[i] !== "") {
        place[place.length] = steps[i];
      }
    }
    return place;
  }

  function lookUp(place, path) {
    let value = design;
    for (let i = 0; i < place.length; i++) {
      if (typeof value !== "object" || value === null || !has(value, place[i])) {
        throw new Error("invalid_require_path " + path);
      }
      value = value[place[i]];
    }
    if (typeof value !== "string") throw new Error("invalid_require_path " + path);
    return value;
  }

  function requireFrom(from) {
    return function require(path) {
      const place = resolve(Text(path), from);
      const name = join(place, "/");
      if (!(name in modules)) {
        const source = lookUp(place, path);
        const module = { id: name, exports: {} };
        modules[name] = module;
        new NewFunction("module", "exports", "require", source)(
          module, module.exports, requireFrom(name));
      }
      return modules[name].exports;
    };
  }

  // -- what the functions find -----------------------------------------------------------------

  // Whole seconds, and the same during one call: nobody can time anything.
  function CoarseDate(...given) {
    if (!new.target) return new RealDate(second).toString();
    return construct(RealDate, given.length ? given : [second], new.target);
  }
  CoarseDate.prototype = RealDate.prototype;
  RealDate.prototype.constructor = CoarseDate;
  CoarseDate.now = () => second;
  CoarseDate.parse = RealDate.parse;
  CoarseDate.UTC = RealDate.UTC;

  let seed = 0x2545f491;
  function random() {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return (seed >>> 0) / 4294967296;
  }

  const offered = {
    emit(key, value) {
      const at = emitted.length;
      emitted[at] = toText(key);
      emitted[at + 1] = toText(value);
    },
    sum(values) {
      let total = 0;
      for (let i = 0; i < values.length; i++) total += values[i];
      return total;
    },
    log(message) {
      if (logged.length < LOGGED) {
        logged[logged.length] = describe(typeof message === "object" ? toText(message) : message);
      }
    },
    isArray,
    toJSON: toText,
    require: requireFrom(""),
    Date: CoarseDate,
  };
  for (const name of keys(offered)) {
    Object.defineProperty(globalThis, name, {
      value: offered[name], writable: true, configurable: true, enumerable: false,
    });
  }
  Object.defineProperty(Math, "random", { value: random });
  for (const name of ["performance", "Atomics", "SharedArrayBuffer", "WeakRef",
                      "FinalizationRegistry", "queueMicrotask"]) {
    delete globalThis[name];
  }

  // -- what the host calls ---------------------------------------------------------------------

  function views() {
    const all = typeof design.views === "object" && design.views !== null ? design.views : {};
    return keys(all).sort().filter((name) => {
      return name !== "lib" && typeof all[name] === "object" && all[name] !== null &&
        "map" in all[name];
    });
  }

  function mapFunctions() {
    return views().map((name) => functionAt("map " + name, design.views[name].map));
  }

  function runMap(map, doc) {
    emitted = [];
    try {
      map(doc);
    } catch (error) {
      emitted = [];
      return join(["\x18", describe(error)], "");
    }
    const rows = join(emitted, "\x1f");
    emitted = [];
    return rows;
  }

  function refusal(validate) {
    try {
      validate();
    } catch (error) {
      for (const word of ["forbidden", "unauthorized"]) {
        if (typeof error === "object" && error !== null && has(error, word)) {
          return stringify([word, describe(error[word])]);
        }
      }
      return stringify(["exception", describe(error)]);
    }
    return "";
  }

  function member(group, name) {
    const all = design[group];
    if (typeof all !== "object" || all === null || !has(all, name)) {
      throw new CompilationError("missing " + group + " function " + name);
    }
    return all[name];
  }

  const host = {
    load(text) {
      design = freezeAll(parse(text));
      return "";
    },

    begin(milliseconds) {
      second = Number(milliseconds);
      logged = [];
      done = [];
    },

    logged() {
      return stringify(logged);
    },

    // What was done when the host stopped a call; the next document is the one that went on.
    done() {
      return join(done, "\x1e");
    },

    count() {
      return Text(done.length);
    },

    map(text) {
      const maps = mapFunctions();
      const docs = split(text, "\x1e");
      done = [];
      for (let i = 0; i < docs.length; i++) {
        const doc = freezeAll(parse(docs[i]));
        const rows = [];
        for (let m = 0; m < maps.length; m++) rows[m] = runMap(maps[m], doc);
        done[i] = join(rows, "\x1d");
      }
      return join(done, "\x1e");
    },

    reduce(text) {
      const [name, pairs, values, rereduce] = split(text, "\x1e");
      const reduce = functionAt("reduce " + name, design.views[name].reduce);
      const keysGiven = rereduce === "1" ? null : parse(pairs);
      return toText(reduce(keysGiven, parse(values), rereduce === "1"));
    },

    filter(text) {
      const [name, request, ...docs] = split(text, "\x1e");
      const filter = functionAt("filter " + name, member("filters", name));
      const given = freezeAll(parse(request));
      done = [];
      for (let i = 0; i < docs.length; i++) {
        done[i] = filter(freezeAll(parse(docs[i])), given) ? "1" : "0";
      }
      return join(done, "\x1e");
    },

    filterByView(text) {
      const [name, ...docs] = split(text, "\x1e");
      const view = member("views", name);
      const map = functionAt("map " + name, view && view.map);
      done = [];
      for (let i = 0; i < docs.length; i++) {
        const rows = runMap(map, freezeAll(parse(docs[i])));
        done[i] = rows && rows[0] !== "\x18" ? "1" : "0";
      }
      return join(done, "\x1e");
    },

    // For each pair of documents, new and old: nothing, or [word, reason].
    validate(text) {
      const [contextText, securityText, ...pairs] = split(text, "\x1e");
      const validate = functionAt("validate_doc_update", design.validate_doc_update);
      const context = freezeAll(parse(contextText));
      const security = freezeAll(parse(securityText));
      done = [];
      for (let i = 0; i < pairs.length; i++) {
        const [fresh, old] = split(pairs[i], "\x1d");
        done[i] = refusal(() => {
          validate(freezeAll(parse(fresh)), freezeAll(parse(old)), context, security);
        });
      }
      return join(done, "\x1e");
    },
  };

  // Found only by the host, which takes it away before any function of a design document runs.
  globalThis.__host = function (name, text) {
    try {
      return host[name](text);
    } catch (error) {
      const failed = error instanceof CompilationError;
      const kind = failed ? "compilation" : "exception";
      const why = describe(failed ? error.message : error);
      return join(["\x19", stringify([kind, why])], "");
    }
  };
})();
