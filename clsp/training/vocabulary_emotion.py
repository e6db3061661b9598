"""Words for the speaker's emotion.

It knows nothing of grammar (see captions.py), audio or the model, nor of the other tables. What is
in heldout_wording.py is kept out of here.
"""

from clsp.training.wording import Words

EMOTION: dict[tuple[str, str], Words] = {
    ("emotion", "happy"): Words(
        adjectives="happy|cheerful|joyful|delighted|glad|merry|amused|pleased|jolly|upbeat|"
        "laughing|smiling|cheery|overjoyed|blissful|gleeful|sunny|high-spirited|very happy|beaming",
        nouns="happy person|happy speaker|cheerful person",
        voices="happy|cheerful|joyful|bright and happy|amused|cheery|smiling|laughing|gleeful|"
        "overjoyed|merry|jolly|delighted|glad|sunny|joyous|very happy|rather happy|happy-sounding|"
        "pleased",
        adverbs="happily|cheerfully|joyfully|in a happy tone|in a cheerful mood|with joy|"
        "with a smile|cheerily|gleefully|merrily|joyously|gladly|in a joyful tone|in a merry tone|"
        "in good spirits|with happiness|with delight|with laughter in the voice|with a grin|"
        "with a smile in the voice|very happily|in a happy mood|in a good mood|in high spirits|"
        "like someone with good news",
        verbs="laughing|smiling|chuckling|giggling|beaming|rejoicing|grinning",
        clauses="full of joy|full of happiness|in a sunny mood|with a happy heart|over the moon|"
        "on cloud nine",
        sentences="The tone is happy.|The speaker sounds happy.|The mood is cheerful.|"
        "The mood is happy.|The mood is joyful.|The emotion is happiness.|The emotion is joy.|"
        "The speaker is happy.|The speaker is cheerful.|The speaker feels happy.|"
        "The speaker is in a good mood.|The voice sounds happy.|The voice is full of joy.|"
        "They are happy.|They sound cheerful.|The person is smiling.|"
        "The person is delighted.|Sounds like someone smiling.|"
        "Sounds like they are having a good time.|You can hear the smile.|"
        "You can tell they are happy.|Something has made them happy.|There is joy in the voice.|"
        "There is laughter in the voice.|Mood: happy.|"
        "The speaker is not sad at all.",
        tags="upbeat|jolly|pleased|delight|smiling|good mood|happy|happiness|joy|cheerful|joyful|"
        "happy tone|amused|glad|emotion: happiness|emotion: joy|mood: happy|"
        "mood: good|tone: happy|feeling: happy|happy voice|happy audio|"
        "happy recording|happy speaker|happy person|happy mood|happy emotion|happy sounding|"
        "very happy|a bit happy|rather happy|extremely happy|happily|cheerful voice|"
        "cheerful speech|cheerful tone|cheerful mood|cheerfulness|cheery|joyous|joyful voice|"
        "merry|merriment|mirth|glee|gleeful|delighted|elation|bliss|blissful|laughing|laughter|"
        "laugh|giggling|chuckle|smile|smiling voice|grin|high spirits|good spirits|good news|"
        "full of joy|over the moon|on cloud nine|having fun|fun|positive mood|positive emotion|"
        "beaming|gladness",
    ),
    ("emotion", "excited"): Words(
        adjectives="excited|enthusiastic|thrilled|energetic|eager|pumped|hyped|fired-up|"
        "very excited|keyed-up|exhilarated|keen",
        nouns="excited person|excited speaker|enthusiast",
        voices="excited|enthusiastic|thrilled|energetic|very excited|rather excited|hyped|"
        "exhilarated|eager|keen|fired-up|pumped-up|excited-sounding",
        adverbs="excitedly|enthusiastically|with excitement|in an excited tone|with enthusiasm|"
        "eagerly|energetically|very excitedly|in an enthusiastic tone|with great enthusiasm|"
        "with energy|with eagerness|in excitement|full of energy|with a thrill|"
        "like someone who cannot wait",
        verbs="bursting with excitement|getting carried away|bubbling with enthusiasm",
        clauses="full of excitement|full of enthusiasm|in an excited mood|"
        "unable to contain their excitement|in a state of great excitement|"
        "on the edge of their seat",
        sentences="The tone is excited.|The speaker sounds excited.|The mood is enthusiastic.|"
        "The mood is excited.|The emotion is excitement.|The speaker is excited.|"
        "The speaker is enthusiastic.|The speaker is thrilled.|The speaker feels excited.|"
        "The speaker is full of energy.|The voice sounds excited.|"
        "The voice is full of excitement.|They are excited.|They sound excited.|"
        "They sound enthusiastic.|They can hardly wait.|The person is thrilled.|"
        "Sounds like someone who can hardly wait.|You can hear the excitement.|"
        "You can tell they are excited.|There is excitement in the voice.|Emotion: excited.|"
        "Mood: excited.",
        tags="eager|hyped|exhilarated|excited|excitement|enthusiastic|thrilled|energetic|"
        "enthusiasm|excited tone|emotion: excited|emotion: excitement|mood: excited|tone: excited|"
        "feeling: excited|excited voice|excited speech|excited audio|excited recording|"
        "excited speaker|excited mood|very excited|rather excited|extremely excited|excitedly|"
        "enthusiastic voice|enthusiastic tone|enthusiastic speech|energetic voice|energetic tone|"
        "full of energy|full of excitement|eagerness|keen|thrill|exhilaration|fired up|pumped|"
        "pumped up|hype|can hardly wait|high energy|high-energy|zeal|fervour",
    ),
    ("emotion", "angry"): Words(
        adjectives="angry|furious|irritated|mad|annoyed|enraged|hostile|irate|outraged|livid|"
        "fuming|infuriated|cross|bad-tempered|raging|incensed|very angry|seething|indignant|"
        "wrathful",
        nouns="angry person|angry speaker|hothead",
        voices="angry|furious|irritated|harsh and angry|hostile|irate|annoyed|outraged|enraged|"
        "fuming|aggressive|livid|snarling|mad|seething|wrathful|very angry|rather angry|"
        "angry-sounding|bad-tempered",
        adverbs="angrily|furiously|in an angry tone|with anger|in a rage|with hostility|irately|"
        "crossly|heatedly|aggressively|hostilely|in a furious tone|in a hostile tone|in anger|"
        "with fury|with rage in the voice|with irritation|through clenched teeth|very angrily|"
        "in an angry mood|in a bad temper|in a fit of rage|like someone who has lost their temper|"
        "in a temper",
        verbs="ranting|raging|fuming|snarling|scolding|seething|quarrelling|losing their temper",
        clauses="full of anger|full of rage|in a foul temper|with a furious temper|hopping mad|"
        "at the end of their patience",
        sentences="The tone is angry.|The speaker sounds angry.|The speaker is furious.|"
        "The mood is angry.|The mood is hostile.|The emotion is anger.|The emotion is rage.|"
        "The speaker is angry.|The speaker is mad.|The speaker feels angry.|"
        "The speaker is in a bad temper.|The voice sounds angry.|The voice is full of anger.|"
        "They are angry.|They sound furious.|The person is fuming.|"
        "The person is enraged.|Sounds like someone losing their temper.|"
        "Sounds like they are having a quarrel.|You can hear the anger.|"
        "You can tell they are angry.|Something has made them furious.|"
        "There is fury in the voice.|Mood: angry.|"
        "The speaker is scolding someone.",
        tags="outraged|irate|cross|aggressive|upset and angry|angry|anger|furious|mad|rage|"
        "annoyed|irritated|angry tone|hostile|emotion: anger|emotion: rage|"
        "mood: angry|mood: hostile|tone: angry|feeling: angry|angry voice|"
        "angry audio|angry recording|angry speaker|angry person|angry mood|angry emotion|"
        "angry sounding|very angry|a bit angry|rather angry|extremely angry|angrily|furious voice|"
        "furious speech|furious tone|fury|wrath|wrathful|enraged|infuriated|fuming|livid|incensed|"
        "seething|indignant|indignation|outrage|ranting|rant|raging|scolding|snarling|quarrel|"
        "arguing|argument|hostility|hostile tone|aggression|aggressive tone|irritation|annoyance|"
        "annoyed tone|ill-tempered|bad temper|temper|lost their temper|full of anger|hopping mad|"
        "heated|ticked off|pissed off",
    ),
    ("emotion", "sad"): Words(
        adjectives="sad|unhappy|sorrowful|depressed|gloomy|melancholic|grieving|tearful|mournful|"
        "downcast|miserable|heartbroken|dejected|despondent|melancholy|blue|very sad|weeping|"
        "low-spirited|crying",
        nouns="sad person|sad speaker|mourner",
        voices="sad|unhappy|sorrowful|gloomy|melancholic|mournful|tearful|miserable|downcast|"
        "dejected|despondent|heartbroken|grieving|melancholy|depressed|weepy|crying|very sad|"
        "rather sad|sad-sounding|woeful",
        adverbs="sadly|in a sad tone|with sadness|sorrowfully|with grief|mournfully|tearfully|"
        "unhappily|gloomily|dejectedly|miserably|in a sorrowful tone|in a gloomy tone|"
        "in low spirits|with sorrow|with despair|with tears in the voice|with a heavy heart|"
        "very sadly|in a sad mood|in a gloomy mood|in tears|like someone with bad news|"
        "on the verge of tears",
        verbs="crying|weeping|sobbing|grieving|mourning|holding back tears",
        clauses="full of sadness|full of sorrow|in a gloomy mood|with a broken heart|"
        "down in the dumps|close to tears",
        sentences="The tone is sad.|The speaker sounds sad.|The mood is gloomy.|The mood is sad.|"
        "The mood is sorrowful.|The emotion is sadness.|The emotion is sorrow.|"
        "The speaker is sad.|The speaker is unhappy.|The speaker feels sad.|"
        "The speaker is in low spirits.|The voice sounds sad.|The voice is full of sorrow.|"
        "They are sad.|They sound unhappy.|The person is crying.|"
        "The person is heartbroken.|Sounds like someone crying.|"
        "Sounds like they have had bad news.|You can hear the sadness.|You can tell they are sad.|"
        "Something has made them sad.|"
        "There are tears in the voice.|Mood: sad.|The speaker is not happy at all.",
        tags="miserable|down|mournful|sorrowful|tearful|heartbroken|sad|sadness|sorrow|unhappy|"
        "depressed|grief|gloomy|sad tone|melancholic|emotion: sadness|"
        "emotion: sorrow|mood: sad|mood: gloomy|tone: sad|feeling: sad|sad voice|"
        "sad audio|sad recording|sad speaker|sad person|sad mood|sad emotion|sad sounding|"
        "very sad|a bit sad|rather sad|extremely sad|sadly|unhappy voice|unhappy speech|"
        "unhappy tone|unhappiness|misery|woe|woeful|dejected|despondent|downcast|despair|"
        "depression|melancholy|mourning|grieving|crying|crying voice|weeping|sobbing|sob|tears|"
        "in tears|close to tears|blue|feeling blue|feeling down|feeling low|heartbreak|"
        "heavy heart|low spirits|bad news|full of sorrow|down in the dumps|broken-hearted|"
        "sorrowful tone|gloom|glum",
    ),
    ("emotion", "neutral"): Words(
        adjectives="neutral|unemotional|matter-of-fact|emotionless|dispassionate|businesslike|"
        "unfeeling|impassive|emotionally neutral|detached|factual|very neutral|indifferent|"
        "impartial",
        nouns="neutral person|neutral speaker|dispassionate person",
        voices="neutral|unemotional|even|plain|emotionless|matter-of-fact|dispassionate|"
        "businesslike|factual|impassive|detached|emotionally neutral|feelingless|neutral-toned|"
        "very neutral|rather neutral|neutral-sounding|neither happy nor sad|news-like",
        adverbs="in a neutral tone|without emotion|neutrally|in a matter-of-fact way|"
        "dispassionately|impassively|factually|unemotionally|in an unemotional way|"
        "in an even tone|in a plain tone|in a businesslike tone|in a factual tone|with no emotion|"
        "without any feeling|without feeling|without showing any emotion|"
        "with no particular feeling|very neutrally|in a neutral mood|neither happily nor sadly|"
        "like someone stating facts|like a newsreader",
        verbs="stating facts|showing no emotion|showing no feelings|keeping a neutral tone|"
        "simply giving information|reporting",
        clauses="free of emotion|without any emotion|in a neutral mood|with no feelings shown|"
        "neither happy nor sad|in neither a good nor a bad mood",
        sentences="The tone is neutral.|The speaker sounds neutral.|There is no emotion.|"
        "The mood is neutral.|The mood is neither good nor bad.|The emotion is neutral.|"
        "The emotion is none in particular.|The speaker is neutral.|The speaker is unemotional.|"
        "The speaker feels nothing in particular.|The speaker is in a neutral mood.|"
        "The voice sounds neutral.|The voice is free of emotion.|They are neutral.|"
        "They sound unemotional.|The person is stating facts.|"
        "The person is emotionless.|Sounds like someone stating facts.|"
        "Sounds like they have no feelings about it.|You can hear no emotion.|"
        "You can tell no feeling is shown.|Nothing has moved them.|"
        "There is no feeling in the voice.|"
        "Emotion: none.|Mood: neutral.|The speaker is neither happy nor sad.",
        tags="emotionless|ordinary tone|no particular emotion|neutral|no emotion|unemotional|"
        "neutral tone|plain speech|matter-of-fact|emotion: none|mood: neutral|"
        "mood: none|tone: neutral|feeling: none|feeling: neutral|neutral voice|"
        "neutral audio|neutral recording|neutral speaker|neutral person|neutral mood|"
        "neutral emotion|neutral sounding|very neutral|rather neutral|quite neutral|"
        "completely neutral|neutrally|unemotional voice|unemotional speech|unemotional tone|"
        "emotionless voice|emotionless speech|emotionless tone|emotionally neutral|neutrality|"
        "dispassionate|impassive|businesslike|factual|factual tone|matter-of-fact tone|"
        "stating facts|information only|newsreader tone|detached|indifferent|indifference|"
        "no feeling|no feelings|without feeling|without emotion|without any emotion|"
        "free of emotion|absence of emotion|lack of emotion|zero emotion|not emotional|"
        "neither happy nor sad|no mood|even tone|plain tone|not happy, not sad|unmoved",
    ),
    ("emotion", "calm"): Words(
        adjectives="calm|relaxed|peaceful|serene|gentle|soothing|tranquil|composed|placid|mellow|"
        "at-ease|unruffled|very calm|laid-back",
        nouns="calm person|calm speaker|relaxed person",
        voices="calm|relaxed|peaceful|serene|gentle|soothing|tranquil|composed|placid|mellow|"
        "comforting|very calm|rather calm|calm-sounding|laid-back",
        adverbs="calmly|in a calm tone|peacefully|gently|in a relaxed way|serenely|soothingly|"
        "tranquilly|with calm|with composure|in a soothing tone|in a gentle tone|in a calm way|"
        "very calmly|with serenity|in a peaceful mood|like someone completely at ease",
        verbs="keeping calm|staying composed|soothing the listener",
        clauses="full of calm|at peace|in a calm mood|with a calm mind|as cool as a cucumber|"
        "without any agitation",
        sentences="The tone is calm.|The speaker sounds calm.|The speaker is relaxed.|"
        "The mood is calm.|The emotion is calm.|The mood is peaceful.|The speaker is calm.|"
        "The speaker is at ease.|The speaker feels calm.|The speaker is composed.|"
        "The voice sounds calm.|The voice is full of calm.|The voice is soothing.|They are calm.|"
        "They sound calm.|They sound relaxed.|The person is relaxed.|Sounds like someone at ease.|"
        "You can hear the calm.|You can tell they are relaxed.|There is calm in the voice.|"
        "Emotion: calm.|Mood: calm.",
        tags="tranquil|composed|at ease|quietly relaxed|calm|relaxed|peaceful|serene|calmness|"
        "calm tone|soothing|gentle|emotion: calm|emotion: calmness|mood: calm|tone: calm|"
        "feeling: calm|calm voice|calm speech|calm audio|calm recording|calm speaker|calm mood|"
        "very calm|rather calm|extremely calm|calmly|relaxed voice|relaxed tone|relaxed speech|"
        "peaceful voice|soothing voice|gentle voice|gentle tone|serenity|tranquility|composure|"
        "placid|mellow|laid-back|at peace|unruffled|peace of mind|not agitated|cool and collected",
    ),
    ("emotion", "disgust"): Words(
        adjectives="disgusted|revolted|repulsed|grossed-out|sickened|nauseated|very disgusted|"
        "repelled|queasy",
        nouns="disgusted person|disgusted speaker",
        voices="disgusted|revolted|repulsed|grossed-out|sickened|nauseated|repelled|"
        "very disgusted|rather disgusted|disgusted-sounding|full of disgust",
        adverbs="in a disgust tone|with disgust|in a disgusted tone|in disgust|disgustedly|"
        "with revulsion|with distaste|with loathing|in revulsion|with repugnance|very disgustedly|"
        "as if smelling something rotten|with a disgusted face|"
        "like someone who has tasted something foul",
        verbs="expressing disgust|recoiling in disgust|retching at the thought",
        clauses="full of disgust|full of revulsion|in a disgusted mood|sick to the stomach|"
        "with a wrinkled nose|repelled by something foul",
        sentences="The tone is one of disgust.|The speaker sounds disgusted.|"
        "The tone is disgusted.|The mood is one of disgust.|The emotion is disgust.|"
        "The speaker is disgusted.|The speaker is revolted.|The speaker feels disgust.|"
        "The speaker finds something repulsive.|The voice sounds disgusted.|"
        "The voice is full of disgust.|They are disgusted.|They sound disgusted.|"
        "They sound revolted.|The person is grossed out.|"
        "Sounds like someone smelling something foul.|You can hear the disgust.|"
        "You can tell they are disgusted.|There is disgust in the voice.|Emotion: disgust.|"
        "Mood: disgusted.",
        tags="grossed out|repelled|distaste|nauseated|disgust|disgusted|revolted|repulsed|"
        "disgusted tone|aversion|emotion: disgust|emotion: disgusted|mood: disgusted|"
        "tone: disgusted|feeling: disgust|disgusted voice|disgusted speech|disgusted audio|"
        "disgusted recording|disgusted speaker|disgusted mood|very disgusted|rather disgusted|"
        "extremely disgusted|disgustedly|in disgust|revulsion|repulsion|loathing|repugnance|"
        "sickened|nausea|queasy|yuck|eww|gross|finding it gross|full of disgust|revolted voice|"
        "repelled tone",
    ),
    ("emotion", "fear"): Words(
        adjectives="fearful|afraid|scared|frightened|anxious|terrified|nervous|panicked|panicky|"
        "worried|fear-stricken|very afraid|petrified|alarmed",
        nouns="frightened person|fearful speaker|scared person",
        voices="fearful|scared|frightened|anxious|terrified|trembling with fear|afraid|nervous|"
        "panicked|panicky|worried|petrified|very scared|rather frightened|frightened-sounding",
        adverbs="in a fear tone|fearfully|with fear|in a fearful tone|anxiously|nervously|in fear|"
        "in terror|in a panic|with dread|with anxiety|in a scared voice|in a frightened tone|"
        "very fearfully|as if in danger|with a voice full of fear|like someone in danger",
        verbs="panicking|trembling with fear|fearing for their life",
        clauses="full of fear|full of dread|in a fearful mood|scared to death|"
        "scared out of their wits|afraid of something",
        sentences="The tone is fearful.|The speaker sounds afraid.|The speaker is scared.|"
        "The mood is fearful.|The emotion is fear.|The mood is anxious.|The speaker is afraid.|"
        "The speaker is frightened.|The speaker feels fear.|The speaker is terrified.|"
        "The voice sounds scared.|The voice is full of fear.|The voice trembles with fear.|"
        "They are scared.|They sound frightened.|They sound afraid.|The person is panicking.|"
        "Sounds like someone in danger.|You can hear the fear.|You can tell they are scared.|"
        "There is fear in the voice.|Emotion: fear.|Mood: fearful.",
        tags="panicked|worried|dread|timid|alarmed|fear|fearful|afraid|scared|anxious|terror|"
        "frightened|fearful tone|nervous|emotion: fear|emotion: fearful|mood: fearful|"
        "tone: fearful|feeling: fear|scared voice|fearful voice|fearful speech|frightened audio|"
        "fearful recording|fearful speaker|fearful mood|very scared|rather frightened|"
        "extremely afraid|fearfully|frightened voice|afraid of something|anxious voice|"
        "anxious tone|nervous voice|anxiety|fright|panic|panicking|terrified|petrified|"
        "scared to death|full of fear|in fear|in terror|nervousness",
    ),
    ("emotion", "surprised"): Words(
        adjectives="surprised|astonished|amazed|startled|shocked|stunned|astounded|flabbergasted|"
        "very surprised|taken-aback|dumbfounded|wide-eyed",
        nouns="surprised person|surprised speaker",
        voices="surprised|astonished|amazed|startled|shocked|stunned|astounded|flabbergasted|"
        "dumbfounded|very surprised|rather surprised|surprised-sounding|disbelieving",
        adverbs="in a surprised tone|with surprise|in astonishment|in amazement|in shock|"
        "in surprise|with astonishment|with amazement|with shock|in an astonished tone|"
        "in an amazed tone|in disbelief|with a start|very surprisedly|caught off guard|"
        "like someone who did not expect it",
        verbs="gasping in surprise|marvelling|not believing their ears",
        clauses="full of surprise|full of astonishment|in a surprised mood|caught by surprise|"
        "at something unexpected|with raised eyebrows",
        sentences="The tone is surprised.|The speaker sounds surprised.|The speaker is amazed.|"
        "The mood is one of surprise.|The emotion is surprise.|The tone is astonished.|"
        "The speaker is surprised.|The speaker is astonished.|The speaker feels surprised.|"
        "The speaker did not expect this.|The voice sounds surprised.|"
        "The voice is full of surprise.|They are surprised.|They sound surprised.|"
        "They sound astonished.|They cannot believe it.|The person is stunned.|"
        "Sounds like someone caught off guard.|You can hear the surprise.|"
        "You can tell they are surprised.|There is surprise in the voice.|Emotion: surprise.|"
        "Mood: surprised.",
        tags="taken aback|stunned|wonder|startled|surprised|surprise|astonished|amazed|shocked|"
        "surprised tone|amazement|emotion: surprise|emotion: surprised|mood: surprised|"
        "tone: surprised|feeling: surprise|surprised voice|surprised speech|surprised audio|"
        "surprised recording|surprised speaker|surprised mood|very surprised|rather surprised|"
        "extremely surprised|in surprise|astonished voice|astonished tone|amazed voice|"
        "amazed tone|astonishment|shock|disbelief|astounded|flabbergasted|dumbfounded|"
        "caught off guard|caught by surprise|unexpected news|did not expect it|wow|gasping|"
        "full of surprise|wonderment",
    ),
}
