/* The commands of the program. Each is `int cmd_NAME(int argc, char **argv)` in cmd_NAME.c, with
 * argv[0] the command's name; it returns the exit status: 0 done, 1 it failed (one line on standard
 * error says what and what to do), 2 wrong usage. */
#ifndef WEN_CLI_COMMANDS_H
#define WEN_CLI_COMMANDS_H

int cmd_bench(int argc, char **argv);
int cmd_data(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_eval(int argc, char **argv);
int cmd_info(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_pipeline(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_render(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_train(int argc, char **argv);

#endif
