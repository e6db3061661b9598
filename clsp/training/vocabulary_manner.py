"""Words for the manner of speaking: its rate and how expressive it is.

It knows nothing of grammar (see captions.py), audio or the model, nor of the other tables. What is
in heldout_wording.py is kept out of here.
"""

from clsp.training.wording import Words

MANNER: dict[tuple[str, str], Words] = {
    ("rate", "slow"): Words(
        adjectives="slow|slow-talking|slow-speaking|slowly speaking|slow-paced|unhurried|"
        "very slow|rather slow|extremely slow|slower than usual|sluggish|plodding",
        voices="slow|slow-paced|slow-moving|unhurried|sluggish|plodding|drawling|dragging|"
        "rather slow|slowly speaking|slower than usual|very slow|slow-tempo",
        adverbs="slowly|at a slow pace|at a slow speed|slowly and deliberately|unhurriedly|"
        "in a slow way|with long drawn words|very slowly|leisurely|at a leisurely pace|sluggishly|"
        "taking time|with a slow tempo|at low speed|dragging the words|extremely slowly|"
        "rather slowly|a bit slowly|quite slowly|too slowly|more slowly than usual|"
        "at a snail's pace|at an unhurried pace|at a sluggish pace|at a crawl|ever so slowly|"
        "word by word|one word at a time|with every word drawn out|with drawn-out syllables|"
        "stretching out the words|with a slow delivery|at a low rate|in slow motion|"
        "without any hurry|in no hurry|not in a hurry|below normal speed|"
        "with few words per minute|at two syllables a second|in a drawl|"
        "as if there were all the time in the world",
        verbs="dragging out the words|drawling|speaking slowly|talking very slowly|"
        "taking their time|stretching every word|plodding along|drawing out each syllable|"
        "lingering over the words",
        clauses="at a slow pace of speech|with a slow rate of speech|with long drawn-out words|"
        "in no rush at all|at less than a hundred words a minute|with the words coming slowly|"
        "with a low speech rate|slower than most people talk|with the speed turned down",
        sentences="The speech is slow.|The pace is slow.|The speaker takes their time.|"
        "The speaking rate is low.|The tempo is slow.|The speed is low.|"
        "The rate of speech is slow.|Every word is drawn out.|"
        "The syllables are stretched out.|They speak slowly.|They are in no hurry.|"
        "The speaker talks slowly.|The speaker is slow.|The speaker is in no rush.|"
        "The person is talking very slowly.|Sounds like someone taking their time.|"
        "You can tell they are not in a hurry.|You could write down every word as it is said.|"
        "The speech is slower than usual.|The speech drags along.|It is spoken slowly.|"
        "The delivery is slow.|The speaking rate is slow.|Speech rate: slow.|"
        "Few words are said per minute.|The audio seems slowed down.|The words crawl along.|"
        "It takes them a long time to say anything.|The pace is leisurely.|"
        "The talking is not fast at all.",
        tags="slow talker|slow speaker|sluggish|leisurely|slow tempo|slow talking|drawl|"
        "low speaking rate|slow|slowly|slow speech|slow pace|unhurried|slow speed|deliberate pace|"
        "speed: low|rate: slow|pace: slow|tempo: slow|speech rate: slow|"
        "speaking rate: low|slow voice|slow audio|slow recording|slow speaking|"
        "slow rate|slow rate of speech|slow speech rate|slow words|slow-paced|slow-paced speech|"
        "slow talk|slow cadence|slow-spoken|slowly spoken|speaking slowly|talking slowly|"
        "very slow|too slow|rather slow|a bit slow|quite slow|extremely slow|fairly slow|slower|"
        "slower than usual|slower than average|not fast at all|in no hurry|in no rush|"
        "without hurry|not in a hurry|taking their time|snail's pace|at a crawl|slow motion|"
        "drawn out|drawn-out words|drawled speech|stretched syllables|dragging|"
        "plodding|crawling pace|unhurried speech|leisurely pace|low words per minute|"
        "low tempo|low syllable rate|lento|slowness",
    ),
    ("rate", "moderate"): Words(
        adjectives="medium-speed|moderately fast-talking|moderate-speed|average-speed|"
        "normal-speed|medium-paced|moderately paced|neither fast nor slow|normally paced|"
        "regular-speed",
        voices="medium-speed|moderate-speed|medium-paced|moderately paced|normally paced|"
        "normal-speed|average-speed|regular-speed|measured-pace|neither fast nor slow|mid-tempo|"
        "medium-tempo|moderate-tempo",
        adverbs="at a moderate speed|at a normal pace|at a measured speed|at a medium pace|"
        "at an average speed|neither fast nor slow|at a moderate pace|at an ordinary tempo|"
        "at a usual speed|at a regular pace|with a medium tempo|at a normal speed|"
        "at a natural pace|at a conversational pace|at conversational speed|at a comfortable pace|"
        "at an average pace|at a medium speed|at the usual rate|at a moderate rate|"
        "at a normal rate|at a typical speed|neither quickly nor slowly|"
        "neither too fast nor too slow|with a moderate tempo|with a normal tempo|"
        "with a medium delivery speed|at a steady, ordinary pace|at middling speed|"
        "at an everyday pace|at an in-between speed|at about normal speed|"
        "at around four syllables a second|with an average number of words per minute|"
        "no faster and no slower than usual|as fast as people normally do|at a standard rate|"
        "at a middle tempo",
        verbs="speaking at a normal pace|talking at an average speed|keeping an ordinary pace|"
        "keeping to a medium pace|speaking neither quickly nor slowly|going at a moderate pace|"
        "talking at a conversational speed|neither rushing nor dragging|keeping a medium tempo",
        clauses="at a normal pace of speech|with a moderate rate of speech|"
        "with words of ordinary speed|neither rushed nor dragging|"
        "at about a hundred and fifty words a minute|with the words coming at a normal pace|"
        "with a medium speech rate|about as fast as most people talk|with the speed in the middle",
        sentences="The speed is moderate.|The pace is measured.|The speaking rate is normal.|"
        "The tempo is moderate.|The tempo is medium.|The speed is normal.|The speed is average.|"
        "The pace is moderate.|The rate of speech is normal.|The words come at a normal pace.|"
        "The words are neither rushed nor drawn out.|The syllables come at an ordinary speed.|"
        "They speak at a normal speed.|They speak neither quickly nor slowly.|"
        "The speaker talks at a normal pace.|The speaker is neither fast nor slow.|"
        "The speaker keeps a medium pace.|The person is talking at a moderate pace.|"
        "Sounds like someone talking at an everyday speed.|"
        "You can tell they are speaking at a normal pace.|"
        "You can follow the words at an ordinary speed.|The speech is about as fast as usual.|"
        "The speech moves at a conversational pace.|It is spoken at a medium speed.|"
        "The delivery is neither fast nor slow.|The speaking rate is moderate.|"
        "The speaking rate is average.|Speech rate: moderate.|"
        "An average number of words is said per minute.|"
        "The audio plays at an ordinary talking speed.|The pace is average.|"
        "The pace is comfortable.|The talking is neither too fast nor too slow.",
        tags="regular pace|ordinary speed|medium speed|moderate tempo|normal rate|moderate speed|"
        "normal speed|measured speed|medium pace|average pace|moderate pace|"
        "speed: medium|speed: moderate|rate: moderate|pace: medium|pace: normal|tempo: moderate|"
        "speech rate: normal|speech rate: moderate|speaking rate: medium|medium-speed voice|"
        "medium-speed audio|normal-speed recording|medium-speed speaking|medium-speed delivery|"
        "moderate rate|moderate rate of speech|normal speech rate|average rate|average speed|"
        "medium rate|medium-paced|moderately paced|medium-paced speech|moderately paced speech|"
        "normally paced|average speech rate|moderate speaking rate|average speaking rate|"
        "normal speaking rate|normal pace|ordinary pace|usual pace|usual speed|typical pace|"
        "typical speed|standard speed|standard pace|conversational pace|conversational speed|"
        "comfortable pace|natural pace|natural speed|everyday pace|regular speed|medium tempo|"
        "normal tempo|average tempo|mid-tempo|middle speed|neither fast nor slow|"
        "neither quick nor slow|neither rushed nor slow|not too fast, not too slow|"
        "in-between speed|average words per minute|medium syllable rate|as fast as usual|"
        "talking at a normal speed|speaking at a normal pace|moderato|measured pace",
    ),
    ("rate", "fast"): Words(
        adjectives="fast|fast-talking|hurried|fast-speaking|rapidly speaking|fast-paced|rushed|"
        "very fast|rather fast|extremely fast|faster than usual|quick|rapid|rapid-fire",
        voices="fast|fast-paced|fast-moving|hurried|rapid|rapid-fire|quick|racing|rather fast|"
        "quickly speaking|faster than usual|very fast|fast-tempo",
        adverbs="briskly|speedily|swiftly|at a quick pace|with a fast tempo|at a rapid rate|"
        "rushing|quickly|fast|rapidly|at a fast pace|hurriedly|at high speed|in a hurry|very fast|"
        "extremely quickly|rather quickly|a bit fast|quite quickly|too fast|faster than usual|"
        "a mile a minute|at a rushed pace|at a brisk clip|at breakneck speed|at lightning speed|"
        "ever so quickly|nineteen to the dozen|without taking a breath between words|"
        "with the words tumbling out|with clipped, rapid syllables|running the words together|"
        "with a fast delivery|at a high rate|in fast forward|in a great hurry|in a rush|"
        "at full tilt|above normal speed|with many words per minute|at seven syllables a second|"
        "in a rapid-fire way|as if there were no time to lose",
        verbs="rushing through the words|racing through the words|rattling along|speaking quickly|"
        "talking very fast|hurrying along|rushing every word|rattling off the words|gabbling|"
        "firing off words",
        clauses="at a fast pace of speech|with a fast rate of speech|with quick, hurried words|"
        "in a real rush|at more than two hundred words a minute|"
        "with the words coming thick and fast|with a high speech rate|"
        "faster than most people talk|with the speed turned up",
        sentences="The speech is fast.|The pace is quick.|The speaker talks fast.|"
        "The speaking rate is high.|The tempo is fast.|The speed is high.|"
        "The rate of speech is fast.|Every word is rushed.|"
        "The syllables come thick and fast.|They speak quickly.|They are in a hurry.|"
        "The speaker talks quickly.|The speaker is fast.|The speaker is in a rush.|"
        "The person is talking very fast.|Sounds like someone in a hurry.|"
        "You can tell they are in a hurry.|You can hardly keep up with the words.|"
        "The speech is faster than usual.|The speech races along.|It is spoken quickly.|"
        "The delivery is fast.|The speaking rate is fast.|Speech rate: fast.|"
        "Many words are said per minute.|The audio seems sped up.|The words tumble out.|"
        "It takes them no time to say a lot.|The pace is brisk.|The talking is not slow at all.",
        tags="fast talker|fast speaker|brisk|speedy|swift|fast tempo|rushed|fast talking|"
        "high speaking rate|fast|quick|rapid|fast speech|fast pace|quickly|hurried|rapid speech|"
        "speed: high|rate: fast|pace: fast|tempo: fast|speech rate: fast|"
        "speaking rate: high|fast voice|fast audio|fast recording|fast speaking|fast delivery|"
        "fast rate|fast rate of speech|fast speech rate|rapid words|fast-paced|fast-paced speech|"
        "fast talk|fast cadence|rapid-fire|quickly spoken|speaking quickly|talking fast|very fast|"
        "too fast|rather quick|a bit fast|quite fast|extremely fast|fairly fast|faster|"
        "faster than usual|faster than average|not slow at all|in a hurry|in a rush|"
        "in a great hurry|racing|breakneck pace|at a brisk clip|mile a minute|fast forward|"
        "speeding|rushed words|hurried speech|rapid syllables|gabbling|rattling off|"
        "lightning speed|quick speech|quick pace|brisk pace|high words per minute|"
        "high tempo|high syllable rate|presto|quickness|rapidly",
    ),
    ("expressive", "monotone"): Words(
        adjectives="monotone|monotonous|flat-sounding|droning|robotic|toneless|machine-like|"
        "deadpan|tediously monotonous|very monotone",
        voices="monotone|monotonous|flat|dull|robotic|droning|toneless|lifeless|machine-like|"
        "deadpan|uninflected|unvarying|flat and dull|wooden|one-note|flat-pitched|flatly intoned|"
        "very monotone|rather flat|colourless|level-pitched|computer-like|expressionless|"
        "unexpressive",
        adverbs="in a monotone|monotonously|with little intonation|flatly|without intonation|"
        "on one note|all on one note|like a robot|like a machine|in a flat voice|in a flat way|"
        "in a robotic way|in a droning way|in a dull drone|without inflection|with no inflection|"
        "without any variation in pitch|with no change of pitch|without ups and downs|"
        "with hardly any melody|with a flat intonation|with flat pitch|"
        "with a very narrow pitch range|tonelessly|woodenly|as if reading a list|"
        "without varying the voice|deadpan|expressionlessly|in one unchanging tone",
        verbs="droning|droning on|talking like a robot|keeping the same pitch throughout|"
        "never changing pitch|speaking without inflection|staying on one note|"
        "reading in a flat voice",
        clauses="with a flat pitch contour|with no melody|with no variation in pitch|"
        "with little pitch movement|with hardly any rise or fall|"
        "with every sentence on the same note|with a dull, flat delivery|lacking expression|"
        "with no highs and lows in the tune",
        sentences="The speech is monotone.|The intonation is flat.|The pitch hardly moves.|"
        "The voice is monotone.|The voice is flat.|The voice drones on.|The pitch stays the same.|"
        "The pitch is flat.|The pitch does not vary.|The pitch range is narrow.|"
        "The pitch variation is low.|"
        "There is hardly any intonation.|There is no melody in the voice.|"
        "The voice never rises or falls.|The melody of speech is flat.|They speak in a monotone.|"
        "They speak like a robot.|The speaker sounds robotic.|The speaker sounds monotonous.|"
        "The speaker talks in a flat voice.|The speaker lacks expression.|"
        "The person speaks without inflection.|Sounds like a robot reading.|"
        "Sounds like someone reading out a list.|You can tell there is no inflection.|"
        "The delivery is flat.|The delivery is dull.|The delivery is deadpan.|"
        "Everything is said on one note.|It is boring to listen to.|The voice is unexpressive.|"
        "The speech is not expressive at all.",
        tags="flat voice|without intonation|lifeless|unvarying pitch|droning|toneless|boring|"
        "monotone|monotonous|flat|dull|flat intonation|robotic|"
        "expressiveness: low|pitch variation: low|delivery: flat|prosody: flat|style: monotone|"
        "monotone voice|monotone speech|monotone audio|monotone recording|monotone delivery|"
        "monotone speaker|monotonous voice|flat delivery|flat pitch|"
        "flat pitch contour|flat speech|flat tone|very flat|rather flat|a bit flat|"
        "dull voice|dull delivery|boring voice|droning voice|drone|robotic voice|robotic speech|"
        "robot|robot voice|like a robot|machine-like|computer-like voice|deadpan|deadpan delivery|"
        "wooden|wooden delivery|no inflection|without inflection|little inflection|uninflected|"
        "no intonation|little intonation|little pitch variation|"
        "low pitch variation|narrow pitch range|small pitch range|pitch hardly changes|"
        "same pitch throughout|one note|on one note|single tone|no melody|no ups and downs|"
        "unexpressive|not expressive|inexpressive|expressionless|lacking expression|"
        "less expressive than usual|constant pitch|steady pitch|static intonation",
    ),
    ("expressive", "expressive"): Words(
        adjectives="expressive|animated|lively|lively-sounding|vivacious|theatrical|melodious|"
        "actor-like|colourful|richly expressive|very expressive",
        voices="expressive|animated|lively|singsong|varied|lilting|melodic|vivacious|actor-like|"
        "colourful|richly inflected|ever-changing|lively and varied|theatrical|many-toned|"
        "wide-ranging|vividly intoned|very expressive|rather lively|dramatic|sing-song|"
        "storyteller-like|full of expression|tuneful",
        adverbs="expressively|with great expressiveness|with lively intonation|in an animated way|"
        "up and down the scale|with many different notes|like an actor|like a storyteller|"
        "in a lively voice|in a lively way|in a theatrical way|in a singsong way|"
        "in an expressive voice|with inflection|with a lot of inflection|"
        "with much variation in pitch|with many changes of pitch|with ups and downs|"
        "with a lot of melody|with a varied intonation|with a moving pitch|"
        "with a very wide pitch range|melodiously|dramatically|as if acting on a stage|"
        "varying the voice a great deal|vividly|with plenty of expression|"
        "in constantly changing tones",
        verbs="performing|acting out the words|talking like an actor on stage|"
        "moving the pitch up and down|constantly changing pitch|speaking with a lot of inflection|"
        "swooping up and down the scale|reading in a lively voice",
        clauses="with a moving pitch contour|with a rich melody|with much variation in pitch|"
        "with a lot of pitch movement|with many rises and falls|"
        "with every sentence on a different tune|with a lively, varied delivery|"
        "full of expression|with many highs and lows in the tune",
        sentences="The speech is expressive.|The intonation is lively.|The pitch moves a lot.|"
        "The voice is expressive.|The voice is lively.|The voice goes up and down.|"
        "The pitch keeps changing.|The pitch is lively.|The pitch varies a lot.|"
        "The pitch range is wide.|The pitch variation is high.|There is much variation in pitch.|"
        "There is a lot of intonation.|There is a lot of melody in the voice.|"
        "The voice rises and falls.|The melody of speech is rich.|"
        "They speak with great expression.|They speak like an actor.|The speaker sounds animated.|"
        "The speaker sounds expressive.|The speaker talks in a lively voice.|"
        "The speaker is full of expression.|The person speaks with a lot of inflection.|"
        "Sounds like an actor performing.|Sounds like someone telling a tale to an audience.|"
        "You can tell there is a lot of inflection.|The delivery is lively.|"
        "The delivery is vivid.|The delivery is theatrical.|"
        "Everything is said with a different tune.|It is never boring to listen to.|"
        "The voice is full of expression.|The speech is not monotone at all.",
        tags="melodic|full of intonation|theatrical|intonation|expressive voice|vivid|expressive|"
        "animated|lively|singsong|varied intonation|dramatic|"
        "expressiveness: high|pitch variation: high|delivery: lively|prosody: lively|"
        "style: expressive|lively voice|expressive audio|expressive recording|"
        "expressive delivery|expressive speaker|animated voice|animated speech|lively delivery|"
        "lively pitch|moving pitch contour|lively prosody|lively speech|varied tone|very lively|"
        "rather lively|quite expressive|vivid voice|vivid delivery|colourful voice|singsong voice|"
        "lilt|melodic voice|melodic speech|actor|actor's delivery|like an actor|storyteller-like|"
        "performance|dramatic delivery|theatrical delivery|a lot of inflection|with inflection|"
        "much inflection|inflected|rich intonation|lively intonation|much variation in pitch|"
        "large pitch variation|high pitch variation|wide pitch range|large pitch range|"
        "pitch changes a lot|pitch goes up and down|many notes|up and down the scale|many tones|"
        "full of melody|ups and downs|highly expressive|not monotone|not flat|not monotonous|"
        "full of expression|more expressive than usual|changing pitch|varying pitch|"
        "dynamic intonation",
    ),
}
