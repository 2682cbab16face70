// Battles on demand: a line of JSON comes in, a line of JSON goes out. See pokemon_simulator.py, which starts this.
"use strict";

const { createRequire } = require("node:module");
const readline = require("node:readline");

// Packages are those of the folder that is named, whatever others are installed.
const load = createRequire(`${process.argv[2]}/`);
const { Battle, Dex, Teams, extractChannelMessages } = load("@pkmn/sim");
const { TeamGenerators } = load("@pkmn/randoms");
Teams.setGeneratorFactory(TeamGenerators);

const SIDES = ["p1", "p2"];
const battles = new Map();

// What anybody may see: exact hit points are left out, and so is the time of day.
function spectated(lines) {
  return extractChannelMessages(lines.join("\n"), [0])[0].filter((line) => line && !line.startsWith("|t:|"));
}

function update(own) {
  const { battle } = own;
  const lines = spectated(battle.log.slice(own.told));
  own.told = battle.log.length;
  const asked = {};
  for (const side of battle.sides) {
    const request = side.activeRequest;
    if (!battle.ended && request && !request.wait && !side.isChoiceDone()) asked[side.id] = request;
  }
  return { lines, asked, ended: battle.ended };
}

const ANSWERS = {
  start({ id, generation, seed }) {
    const of = (what) => `sodium,${seed[what]}`;
    const battle = new Battle({
      formatid: `gen${generation}randombattle`,
      seed: of("battle"),
      p1: { name: "p1", seed: of("p1") },
      p2: { name: "p2", seed: of("p2") },
    });
    const own = { battle, told: 0 };
    battles.set(id, own);
    return update(own);
  },

  // Both sides' choices are made before the battle goes on; one that is not allowed is asked again, with what is known now.
  choose({ id, choices }) {
    const own = battles.get(id);
    for (const side of SIDES) if (choices[side]) own.battle.choose(side, choices[side]);
    return update(own);
  },

  end({ id }) {
    battles.delete(id);
    return {};
  },

  // What is printed in every guide of a generation: moves, species, and which type hurts which.
  dex({ generation }) {
    const dex = Dex.forGen(generation);
    const there = (each) => each.exists && each.gen <= generation && !["Future", "CAP", "Custom"].includes(each.isNonstandard);
    const moves = {};
    for (const move of dex.moves.all()) {
      if (!there(move)) continue;
      const { type, basePower, accuracy, pp, priority, category, status, volatileStatus, boosts, heal, drain, recoil } = move;
      moves[move.id] = {
        type, basePower, accuracy: accuracy === true ? 100 : accuracy, pp, priority, category, status, volatileStatus,
        boosts, heal, drain, recoil, target: move.target, own: move.self, secondaries: move.secondaries,
        damage: move.damage, ohko: !!move.ohko, multihit: move.multihit, selfdestruct: !!move.selfdestruct,
        sideCondition: move.sideCondition, weather: move.weather, selfSwitch: !!move.selfSwitch,
        forceSwitch: !!move.forceSwitch, charge: !!move.flags.charge, recharge: !!move.flags.recharge,
        recovers: !!move.flags.heal,
      };
    }
    const species = {};
    for (const each of dex.species.all()) {
      if (there(each)) species[each.id] = { types: each.types, stats: each.baseStats };
    }
    const chart = {};
    for (const type of dex.types.all()) {
      if (!there(type) || type.isNonstandard) continue;
      chart[type.name] = Object.fromEntries(Object.entries(type.damageTaken).filter(([other]) => /^[A-Z]/.test(other)));
    }
    return { moves, species, chart };
  },
};

readline.createInterface({ input: process.stdin }).on("line", (line) => {
  let answer;
  try {
    const question = JSON.parse(line);
    answer = ANSWERS[question.what](question);
  } catch (error) {
    answer = { error: `${error}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});
