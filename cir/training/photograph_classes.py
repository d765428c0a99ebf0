"""Which classes of ImageNet tell of which attribute of a scene, and by which names people call kinds of things.

Written by hand: a suit tells of people, a lakeside of water. Data alone.
"""

from __future__ import annotations

from collections.abc import Mapping

# attribute -> (kinds whose classes all count, as WordNet ids; classes by name)
GROUPS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "people": (
        ("n03051540", "n00007846"),  # clothing, person
        "sunglasses, neck brace, barbell, dumbbell, horizontal bar, parallel bars, balance beam, rugby ball, volleyball, "
        "basketball, soccer ball, tennis ball, racket, ski, snorkel, microphone, stage, barbershop, harmonica, violin, unicycle, "
        "seat belt, crutch, lipstick, Band Aid, wig, mask, oboe, cello, sax, flute, accordion, banjo, trombone, tricycle, bobsled, "
        "bulletproof vest, binoculars, whistle, puck, ping-pong ball, swing, jinrikisha, horse cart, stethoscope, diaper, bib, "
        "cloak, running shoe, sandal, umbrella",
    ),
    "building": (
        ("n02913152",),  # building
        "church, monastery, palace, castle, mosque, stupa, dome, bell cote, vault, triumphal arch, obelisk, cliff dwelling, prison, "
        "tile roof, thatch, mobile home, steel arch bridge, suspension bridge, viaduct, beacon, megalith, totem pole, patio, "
        "sliding door, water tower, restaurant, cinema, fountain, pedestal",
    ),
    "mountain": ((), "alp, cliff, valley, volcano, promontory, geyser"),
    "water": (
        ("n04530566",),  # vessel, watercraft
        "lakeside, seashore, sandbar, coral reef, breakwater, dock, promontory, dam, fountain, paddle, snorkel, scuba diver, "
        "bathing cap, swimming trunks",
    ),
    "flower": (
        (),
        "daisy, yellow lady's slipper, pot, vase, rapeseed, cardoon, hip, bee, cabbage butterfly, monarch, sulphur butterfly, "
        "ringlet, lycaenid, admiral",
    ),
    "street": (
        (),
        "street sign, traffic light, parking meter, cab, streetcar, trolleybus, minibus, manhole cover, police van, garbage truck, "
        "moving van, minivan, beach wagon, limousine, convertible, sports car, car wheel, gas pump, mailbox, jinrikisha, motor "
        "scooter, moped, tow truck, ambulance, school bus",
    ),
    "indoors": (
        ("n03405725", "n03528263"),  # furniture, home appliance
        "desktop computer, monitor, screen, television, laptop, desk, restaurant, library, bookshop, barbershop, grocery store, "
        "shoe shop, toyshop, confectionery, bakery, butcher shop, tobacco shop, home theater, theater curtain, window shade, shower "
        "curtain, lampshade, table lamp, quilt, pillow, refrigerator, stove, toilet seat, washbasin, bathtub, tub, prayer rug, wall "
        "clock, radiator, file, bannister, altar, plate rack, computer keyboard, mouse, printer, photocopier, notebook, stage",
    ),
    "food": (
        ("n07557434", "n07705711", "n07555863", "n07881800", "n07705931"),  # dishes, produce, drinks, fruit
        "plate, coffee mug, cup, wine bottle, soup bowl, wok, frying pan, hot pot, menu",
    ),
    "snow": ((), "alp, ski, snowplow, snowmobile, dogsled, bobsled, ice bear, ski mask, shovel"),
    "sky": (
        (),
        "airliner, airship, balloon, parachute, warplane, wing, kite, space shuttle, missile, flagpole",
    ),
    "greenery": (
        (),
        "greenhouse, rapeseed, hay, lawn mower, park bench, picket fence, worm fence, maze, golfcart, valley, corn, ear, buckeye, "
        "fig, acorn",
    ),
    "animal": (("n00015388",), ""),
    "vehicle": (("n04524313",), ""),
}

# What people call kinds of things, by the first name that WordNet gives them. Others ("carnivore", "instrumentality") are
# passed over when a class is not sure enough to be named.
_KINDS = (
    "dog, cat, bird, fish, snake, lizard, frog, turtle, salamander, spider, insect, butterfly, beetle, monkey, ape, bear, fox, "
    "wolf, big cat, rodent, rabbit, antelope, horse, cattle, sheep, swine, elephant, whale, seal, shark, duck, owl, parrot, "
    "eagle, finch, crab, lobster, snail, jellyfish, hound, terrier, spaniel, retriever, shepherd dog, wading bird, seabird, "
    "animal, car, truck, bus, train, boat, ship, airplane, bicycle, motorcycle, vehicle, wheeled vehicle, aircraft, "
    "fruit, edible fruit, vegetable, bread, dessert, dish, food, beverage, mushroom, fungus, flower, building, place of worship, "
    "house, bridge, tower, fence, roof, shop, hat, shoe, shirt, dress, coat, furniture, seat, chair, table, bed, "
    "cabinet, lamp, clock, computer, keyboard, musical instrument, stringed instrument, wind instrument, guitar, bottle, "
    "vessel, tool, weapon, gun, ball, toy, bag, box, mountain, valley, shore, fabric, home appliance, kitchen utensil, camera, "
    "telephone, sports equipment, optical instrument, timepiece, electronic equipment, military vehicle, sailing vessel"
)
KINDS = frozenset(_KINDS.split(", "))
