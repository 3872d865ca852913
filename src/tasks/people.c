#include "tasks/people.h"

const char *const person_names[N_LANGS][N_NAMES] = {
    {"Zoe",  "Nora", "Max",  "Ben",  "Ann",  "Tom",  "Mia",  "Leo",  "Eva",  "Sam",  "Ida",  "Kai",
     "Lucy", "Paul", "Rosa", "Finn", "Jane", "Owen", "Ruth", "Carl", "Vera", "Hugo", "Iris", "Dan"},
    {"小明", "小红", "小刚", "小丽", "小华", "小芳", "小强", "小玉",
     "小龙", "小雪", "小军", "小兰", "阿杰", "阿美", "阿强", "阿珍",
     "王伟", "李娜", "张敏", "刘洋", "陈静", "杨帆", "赵磊", "周杰"},
    {"Anna", "Jan",   "Lena", "Max",  "Mia",   "Paul",  "Emma",  "Tim",
     "Lisa", "Felix", "Jule", "Udo",  "Greta", "Otto",  "Clara", "Emil",
     "Nele", "Karl",  "Pia",  "Hans", "Ute",   "Jonas", "Marie", "Kai"},
    {"Ana",   "Luis", "Eva",   "Pablo", "Marta", "Juan",  "Sara",  "Diego",
     "Lola",  "Hugo", "Inés",  "Raúl",  "Rosa",  "Mario", "Julia", "Pedro",
     "Nuria", "Iván", "Carla", "Leo",   "Elena", "Óscar", "Luz",   "Paco"},
};

const char *const thing_names[N_LANGS][N_THINGS] = {
    {"stamps", "apples", "books", "coins", "marbles", "cards", "pens", "shells", "cookies",
     "stickers", "balloons", "pears"},
    {"张邮票", "个苹果", "本书", "枚硬币", "颗弹珠", "张卡片", "支笔", "个贝壳", "块饼干", "张贴纸",
     "个气球", "个梨"},
    {"Briefmarken", "Äpfel", "Bücher", "Münzen", "Murmeln", "Karten", "Stifte", "Muscheln", "Kekse",
     "Sticker", "Ballons", "Birnen"},
    {"sellos", "libros", "lápices", "discos", "juguetes", "caramelos", "cromos", "globos", "dulces",
     "plátanos", "cuadernos", "limones"},
};

void person_choose(Maker *m, int n, const char **names)
{
    int chosen[N_NAMES];
    maker_choose(m, N_NAMES, n, chosen);
    for (int i = 0; i < n; i++)
        names[i] = person_names[m->lang][chosen[i]];
}

const char *thing_choose(Maker *m) { return thing_names[m->lang][maker_int(m, 0, N_THINGS - 1)]; }
